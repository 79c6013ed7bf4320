-- What the sales of each week, made or still to be made, will send back in each of the coming
-- weeks: units x the step of the completion curve over that week x the rate they will end at.

{% set history_days = '7 * ' ~ policy_value('forecast_history_weeks') -%}

with cells as (

    select * from {{ ref('int_sale_cells_replayed') }}
    where age_days <= {{ policy_value('completion_max_age_days') }}

),

rates as (

    select * from {{ ref('int_open_rates') }} where unit = 'units'

),

curves as (

    select * from {{ ref('int_forecast_curves') }}

),

sales_variations as (

    select * from {{ ref('int_sales_variation') }}

),

variations as (

    select * from {{ ref('int_delay_variation') }}

),

delivery_lags as (

    select * from {{ ref('int_delivery_lags') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

weeks as (

    select {{ each_number(1, policy_value('forecast_weeks') ~ ' + 1') }} as week_number

),

days_ahead as (

    select
        {{ each_number(1, '7 * ' ~ policy_value('forecast_weeks') ~ ' + 1') }} as day_number

),

-- the first week is what is left of the calendar week
replayed as (

    select distinct
        cells.source,
        cells.as_of_date,
        8 - {{ weekday(dbt.dateadd('day', 1, 'cells.as_of_date')) }} as first_week_days,
        least(
            {{ history_days }},
            {{ days_between('sources.first_event_date', 'cells.as_of_date') }} + 1
        ) as history_days
    from cells
    inner join sources
        on cells.source = sources.source

),

-- how old the returns of each day's sales are: late returns and late deliveries make it younger
sold as (

    select
        cells.source,
        cells.as_of_date,
        cells.category,
        cells.original_currency,
        {{ month_start('cells.ordered_date') }} as sale_month,
        {{ week_start('cells.ordered_date') }} as sale_week,
        cells.stratum_1,
        cells.stratum_2,
        cells.age_days - cells.lag_days - coalesce(delivery_lags.delivery_lag_days, 0) as age_days,
        cast(sum(cells.quantity) as double) as quantity
    from cells
    left join delivery_lags
        on
            cells.source = delivery_lags.source
            and cells.as_of_date = delivery_lags.as_of_date
            and cells.marketplace = delivery_lags.marketplace
            and {{ week_start('cells.ordered_date') }} = delivery_lags.sale_week
    where cells.maturity < 1
    group by
        cells.source,
        cells.as_of_date,
        cells.category,
        cells.original_currency,
        {{ month_start('cells.ordered_date') }},
        {{ week_start('cells.ordered_date') }},
        cells.stratum_1,
        cells.stratum_2,
        cells.age_days - cells.lag_days - coalesce(delivery_lags.delivery_lag_days, 0)

),

weekdays as (

    select
        cells.source,
        cells.as_of_date,
        cells.category,
        cells.original_currency,
        cells.stratum_1,
        cells.stratum_2,
        cells.lag_days,
        {{ weekday('cells.ordered_date') }} as weekday,
        7 * cast(sum(cells.quantity) as double) / max(replayed.history_days) as quantity
    from cells
    inner join replayed
        on
            cells.source = replayed.source
            and cells.as_of_date = replayed.as_of_date
            and cells.age_days < replayed.history_days
    group by
        cells.source,
        cells.as_of_date,
        cells.category,
        cells.original_currency,
        cells.stratum_1,
        cells.stratum_2,
        cells.lag_days,
        {{ weekday('cells.ordered_date') }}

),

-- each coming day sells what its weekday sold of late; its age is negative until then
unsold as (

    select
        weekdays.source,
        weekdays.as_of_date,
        weekdays.category,
        weekdays.original_currency,
        cast(null as date) as sale_month,
        {{ week_start(dbt.dateadd('day', 'days_ahead.day_number', 'weekdays.as_of_date')) }}
            as sale_week,
        weekdays.stratum_1,
        weekdays.stratum_2,
        -days_ahead.day_number - weekdays.lag_days as age_days,
        weekdays.quantity
    from weekdays
    inner join days_ahead
        on
            weekdays.weekday = {{ weekday(
                dbt.dateadd('day', 'days_ahead.day_number', 'weekdays.as_of_date')
            ) }}

),

aged as (

    select * from sold
    union all
    select * from unsold

),

-- joined a million times, so by number
numbered_curves as (

    select
        source,
        as_of_date,
        stratum_1,
        stratum_2,
        row_number() over (order by source, as_of_date, stratum_1, stratum_2) as curve_number
    from curves
    group by source, as_of_date, stratum_1, stratum_2

),

curve_steps as (

    select
        numbered_curves.curve_number,
        curves.age_days,
        curves.first_week_share,
        curves.week_share,
        curves.first_week_slope_step,
        curves.week_slope_step
    from curves
    inner join numbered_curves
        on
            curves.source = numbered_curves.source
            and curves.as_of_date = numbered_curves.as_of_date
            and curves.stratum_1 = numbered_curves.stratum_1
            and curves.stratum_2 = numbered_curves.stratum_2

),

-- which age do the sales of a day reach when each coming week begins?
starts as (

    select
        aged.source,
        aged.as_of_date,
        aged.category,
        aged.original_currency,
        aged.sale_month,
        aged.sale_week,
        aged.quantity,
        numbered_curves.curve_number,
        weeks.week_number,
        aged.age_days
        + case
            when weeks.week_number = 1 then 0
            else replayed.first_week_days + 7 * (weeks.week_number - 2)
        end as start_age_days
    from aged
    inner join replayed
        on
            aged.source = replayed.source
            and aged.as_of_date = replayed.as_of_date
    inner join numbered_curves
        on
            aged.source = numbered_curves.source
            and aged.as_of_date = numbered_curves.as_of_date
            and aged.stratum_1 = numbered_curves.stratum_1
            and aged.stratum_2 = numbered_curves.stratum_2
    cross join weeks

),

-- added up in whole billionths: doubles would depend on their order
arriving as (

    select
        starts.source,
        starts.as_of_date,
        starts.category,
        starts.original_currency,
        starts.sale_month,
        starts.sale_week,
        starts.week_number,
        cast(
            sum(
                cast(
                    round(
                        1e9 * starts.quantity * case
                            when starts.week_number = 1 then steps.first_week_share
                            else steps.week_share
                        end
                    ) as bigint
                )
            ) as double
        ) / 1e9 as arriving_quantity,
        cast(
            sum(
                cast(
                    round(
                        1e9 * starts.quantity * case
                            when starts.week_number = 1 then steps.first_week_slope_step
                            else steps.week_slope_step
                        end
                    ) as bigint
                )
            ) as double
        ) / 1e9 as slope_quantity
    from starts
    inner join curve_steps as steps
        on
            starts.curve_number = steps.curve_number
            and starts.start_age_days = steps.age_days
    where starts.start_age_days >= -7
    group by
        starts.source,
        starts.as_of_date,
        starts.category,
        starts.original_currency,
        starts.sale_month,
        starts.sale_week,
        starts.week_number

),

-- months still to come end where the year before lets expect
new_rates as (

    select
        source,
        as_of_date,
        category,
        original_currency,
        max(prior_rate) as rate,
        round(sum(clump_size * cast(denominator as double)), 6) / cast(sum(denominator) as double)
            as clump_size,
        max(history_exposure) as exposure
    from rates
    group by source, as_of_date, category, original_currency

),

-- sales still to be made grow as sales grew over the year
rated as (

    select
        arriving.source,
        arriving.as_of_date,
        arriving.category,
        arriving.original_currency,
        arriving.sale_month,
        arriving.sale_week,
        arriving.week_number,
        coalesce(rates.rate, new_rates.rate) as rate,
        coalesce(rates.clump_size, new_rates.clump_size) as clump_size,
        coalesce(
            rates.rate_variance,
            new_rates.rate * (1 - new_rates.rate) * new_rates.clump_size / new_rates.exposure
        ) as rate_variance,
        arriving.arriving_quantity
        * case when arriving.sale_month is null then sales_variations.growth else 1 end
            as arriving_quantity,
        arriving.slope_quantity
        * case when arriving.sale_month is null then sales_variations.growth else 1 end
            as slope_quantity,
        coalesce(variations.delay_sd_days, 0) as delay_sd_days
    from arriving
    inner join sales_variations
        on
            arriving.source = sales_variations.source
            and arriving.as_of_date = sales_variations.as_of_date
            and arriving.category = sales_variations.category
            and arriving.week_number = sales_variations.weeks_ahead
    inner join new_rates
        on
            arriving.source = new_rates.source
            and arriving.as_of_date = new_rates.as_of_date
            and arriving.category = new_rates.category
            and arriving.original_currency = new_rates.original_currency
    left join rates
        on
            arriving.source = rates.source
            and arriving.as_of_date = rates.as_of_date
            and arriving.category = rates.category
            and arriving.original_currency = rates.original_currency
            and arriving.sale_month = rates.sale_month
    left join variations
        on
            arriving.source = variations.source
            and arriving.as_of_date = variations.as_of_date

),

final as (

    select
        source,
        as_of_date,
        category,
        original_currency,
        sale_month,
        sale_week,
        cast(week_number as bigint) as week_number,
        arriving_quantity,
        arriving_quantity * rate as expected_units,
        arriving_quantity * rate * clump_size as arrival_variance,
        rate_variance,
        slope_quantity * rate * delay_sd_days as delay_error
    from rated

)

select * from final
