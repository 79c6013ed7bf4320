-- How much of the returns of each day's sales had come by each replayed day: the completion of the
-- finest stratum that has a curve, at the age the sales have reached less the days that returns
-- stood still and the days that the sales were delivered later than usual. Sales older than the
-- curve are not listed: their maturity is 1.

with as_of_dates as (

    select * from {{ ref('int_as_of_dates') }}

),

sale_cells as (

    select * from {{ ref('int_sale_cells') }}

),

curves as (

    select * from {{ ref('int_completion_curves') }}

),

delays as (

    select * from {{ ref('int_return_delays') }}

),

delivery_lags as (

    select * from {{ ref('int_delivery_lags') }}

),

source_curves as (

    select * from curves where level = 0

),

stratum_1_curves as (

    select * from curves where level = 1

),

stratum_2_curves as (

    select * from curves where level = 2

),

sale_days as (

    select distinct
        maturity_id,
        source,
        ordered_date,
        marketplace,
        stratum_1,
        stratum_2
    from sale_cells

),

-- a marketplace with less than one return a day cannot tell a delay: it shares that of the source
lags as (

    select
        own_delays.source,
        own_delays.as_of_date,
        own_delays.marketplace,
        case
            when own_delays.expected_per_day >= 1 then own_delays.lag_days
            else source_delays.lag_days
        end as lag_days
    from delays as own_delays
    inner join delays as source_delays
        on
            own_delays.source = source_delays.source
            and own_delays.as_of_date = source_delays.as_of_date
            and source_delays.marketplace = '*'

),

aged as (

    select
        sale_days.maturity_id,
        sale_days.source,
        as_of_dates.as_of_date,
        sale_days.ordered_date,
        sale_days.marketplace,
        sale_days.stratum_1,
        sale_days.stratum_2,
        coalesce(lags.lag_days, 0) as lag_days,
        coalesce(delivery_lags.delivery_lag_days, 0) as delivery_lag_days,
        {{ days_between('sale_days.ordered_date', 'as_of_dates.as_of_date') }} as age_days
    from sale_days
    inner join as_of_dates
        on
            sale_days.source = as_of_dates.source
            and sale_days.ordered_date <= as_of_dates.as_of_date
            and {{ days_between('sale_days.ordered_date', 'as_of_dates.as_of_date') }}
            <= {{ policy_value('completion_max_age_days') }}
    left join lags
        on
            sale_days.source = lags.source
            and as_of_dates.as_of_date = lags.as_of_date
            and sale_days.marketplace = lags.marketplace
    left join delivery_lags
        on
            sale_days.source = delivery_lags.source
            and as_of_dates.as_of_date = delivery_lags.as_of_date
            and sale_days.marketplace = delivery_lags.marketplace
            and {{ week_start('sale_days.ordered_date') }} = delivery_lags.sale_week

),

effective as (

    select
        *,
        age_days - lag_days - delivery_lag_days as effective_age,
        least(
            greatest(age_days - lag_days - delivery_lag_days, 0),
            {{ policy_value('completion_max_age_days') }}
        ) as curve_age
    from aged

),

final as (

    select
        effective.maturity_id,
        effective.source,
        effective.as_of_date,
        effective.ordered_date,
        effective.marketplace,
        effective.stratum_1,
        effective.stratum_2,
        cast(effective.age_days as bigint) as age_days,
        effective.lag_days,
        effective.delivery_lag_days,
        case
            when effective.effective_age < 0 then cast(0 as decimal(9, 6))
            else
                coalesce(
                    stratum_2_curves.completion,
                    stratum_1_curves.completion,
                    source_curves.completion
                )
        end as maturity,
        case
            when effective.effective_age < 0 then cast(0 as decimal(9, 6))
            else
                coalesce(
                    stratum_2_curves.maturity_se,
                    stratum_1_curves.maturity_se,
                    source_curves.maturity_se
                )
        end as maturity_se
    from effective
    inner join source_curves
        on
            effective.source = source_curves.source
            and effective.as_of_date = source_curves.as_of_date
            and effective.curve_age = source_curves.age_days
    left join stratum_1_curves
        on
            effective.source = stratum_1_curves.source
            and effective.as_of_date = stratum_1_curves.as_of_date
            and effective.stratum_1 = stratum_1_curves.stratum_1
            and effective.curve_age = stratum_1_curves.age_days
    left join stratum_2_curves
        on
            effective.source = stratum_2_curves.source
            and effective.as_of_date = stratum_2_curves.as_of_date
            and effective.stratum_1 = stratum_2_curves.stratum_1
            and effective.stratum_2 = stratum_2_curves.stratum_2
            and effective.curve_age = stratum_2_curves.age_days

)

select * from final
