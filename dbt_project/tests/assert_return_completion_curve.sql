-- the completion curve of every stratum rises to 1, covers every age, and is the product of its
-- hazards; maturity in the ledger is read off it

with curve as (

    select * from {{ ref('return_completion_curve') }}

),

steps as (

    select
        *,
        lag(completion) over (
            partition by source, stratum_level, stratum_1, stratum_2 order by age_days
        ) as previous_completion,
        lead(completion) over (
            partition by source, stratum_level, stratum_1, stratum_2 order by age_days
        ) as next_completion,
        lead(hazard) over (
            partition by source, stratum_level, stratum_1, stratum_2 order by age_days
        ) as next_hazard
    from curve

),

falling as (

    select
        'completion never falls' as claim,
        source,
        stratum_1 || ' ' || stratum_2 || ' at ' || cast(age_days as string) as example
    from steps
    where completion < previous_completion

),

open_ended as (

    select
        'every return has come at the last age' as claim,
        source,
        stratum_1 || ' ' || stratum_2 as example
    from steps
    where next_completion is null and completion <> 1

),

unequal as (

    select
        'completion is the next completion times (1 - next hazard)' as claim,
        source,
        stratum_1 || ' ' || stratum_2 || ' at ' || cast(age_days as string) as example
    from steps
    where
        next_completion is not null
        and abs(completion - next_completion * (1 - next_hazard)) > 2e-6

),

-- the age that counts: less the standstill of returns and the delay of deliveries
lags as (

    select
        maturities.source,
        maturities.ordered_date,
        maturities.marketplace,
        max(maturities.lag_days + maturities.delivery_lag_days) as lag_days
    from {{ ref('int_maturities') }} as maturities
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on
            maturities.source = as_of_dates.source
            and maturities.as_of_date = as_of_dates.as_of_date
            and as_of_dates.is_current
    group by maturities.source, maturities.ordered_date, maturities.marketplace

),

young_lines as (

    select
        order_lines.source,
        order_lines.order_line_id,
        order_lines.maturity,
        coalesce(fine.completion, coarse.completion, whole.completion) as completion
    from {{ ref('order_lines') }} as order_lines
    inner join lags
        on
            order_lines.source = lags.source
            and order_lines.ordered_date = lags.ordered_date
            and coalesce(order_lines.marketplace, 'unknown') = lags.marketplace
            and order_lines.age_days >= lags.lag_days
    inner join curve as whole
        on
            order_lines.source = whole.source
            and whole.stratum_level = 0
            and least(
                order_lines.age_days - lags.lag_days,
                {{ policy_value('completion_max_age_days') }}
            ) = whole.age_days
    left join curve as coarse
        on
            order_lines.source = coarse.source
            and coarse.stratum_level = 1
            and coarse.dimension_1 = 'category'
            and coalesce(order_lines.category, 'unknown') = coarse.stratum_1
            and least(
                order_lines.age_days - lags.lag_days,
                {{ policy_value('completion_max_age_days') }}
            ) = coarse.age_days
    left join curve as fine
        on
            order_lines.source = fine.source
            and fine.stratum_level = 2
            and fine.dimension_2 = 'country'
            and coalesce(order_lines.category, 'unknown') = fine.stratum_1
            and coalesce(order_lines.country, 'unknown') = fine.stratum_2
            and least(
                order_lines.age_days - lags.lag_days,
                {{ policy_value('completion_max_age_days') }}
            ) = fine.age_days
    where order_lines.is_sale

),

-- only under the strata of the default policy, which this test knows
wrong_maturities as (

    select
        'maturity of a line is the completion at its age' as claim,
        source,
        order_line_id as example
    from young_lines
    where
        abs(maturity - completion) > 1e-9
        and exists (select 1 from curve where curve.dimension_1 = 'category')
        and exists (select 1 from curve where curve.dimension_2 = 'country')

)

select * from falling
union all
select * from open_ended
union all
select * from unequal
union all
select * from wrong_maturities
