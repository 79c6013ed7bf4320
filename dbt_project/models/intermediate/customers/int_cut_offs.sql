-- The days at which customers are looked at, what is known and what came after, and how long a
-- silence counts as churn: nine in ten times that customers came back, they did so within it.

with order_lines as (

    select * from {{ ref('order_lines') }}
    where customer_id is not null and returned_quantity < quantity

),

sources as (

    select * from {{ ref('int_sources') }} where as_of_date is not null

),

as_of_dates as (

    select * from {{ ref('int_as_of_dates') }} where is_month_end or is_current

),

purchase_days as (

    select distinct
        source,
        customer_id,
        ordered_date
    from order_lines

),

pauses as (

    select
        source,
        {{ days_between(
            'lag(ordered_date) over (partition by source, customer_id order by ordered_date)',
            'ordered_date'
        ) }} as pause_days
    from purchase_days

),

pause_counts as (

    select
        source,
        pause_days,
        count(*) as pause_count
    from pauses
    where pause_days is not null
    group by source, pause_days

),

cumulated as (

    select
        source,
        pause_days,
        sum(pause_count) over (partition by source order by pause_days) as shorter_count,
        sum(pause_count) over (partition by source) as pause_count
    from pause_counts

),

usual_pauses as (

    select
        source,
        min(pause_days) as pause_days
    from cumulated
    where 100 * shorter_count >= {{ policy_value('churn_pause_percentile') }} * pause_count
    group by source

),

measured as (

    select
        sources.source,
        sources.as_of_date,
        usual_pauses.pause_days,
        {{ days_between('sources.first_event_date', 'sources.as_of_date') }} + 1 as history_days
    from sources
    left join usual_pauses
        on sources.source = usual_pauses.source

),

-- bounded by the history, which has to hold outcomes to learn from and later ones to test with
horizons as (

    select
        *,
        case
            when pause_days is not null
                then cast(
                    least(
                        greatest(pause_days, {{ policy_value('churn_horizon_min_days') }}),
                        floor(history_days * {{ policy_value('churn_horizon_max_percent') }} / 100)
                    ) as bigint
                )
        end as horizon_days,
        cast(
            least(
                {{ policy_value('holdout_days') }},
                floor(history_days * {{ policy_value('churn_horizon_max_percent') }} / 100)
            ) as bigint
        ) as holdout_days
    from measured

),

dated as (

    select
        horizons.source,
        as_of_dates.as_of_date as known_on,
        as_of_dates.is_current,
        horizons.as_of_date,
        horizons.pause_days,
        horizons.horizon_days,
        cast(
            {{ dbt.dateadd('day', 'horizons.horizon_days', 'as_of_dates.as_of_date') }} as date
        ) as horizon_end,
        horizons.holdout_days,
        cast(
            {{ dbt.dateadd('day', 'horizons.holdout_days', 'as_of_dates.as_of_date') }} as date
        ) as holdout_end
    from as_of_dates
    inner join horizons
        on as_of_dates.source = horizons.source

),

-- what was known on each of these days: the outcomes of earlier ones
compared as (

    select
        dated.source,
        dated.known_on,
        sum(case when earlier.horizon_end <= dated.known_on then 1 else 0 end) as outcome_count,
        max(case when earlier.horizon_end <= dated.known_on then earlier.known_on end)
            as calibrated_on,
        max(case when earlier.holdout_end <= dated.known_on then earlier.known_on end)
            as scaled_on
    from dated
    inner join dated as earlier
        on dated.source = earlier.source
    group by dated.source, dated.known_on

),

-- a cut-off is tested by a model that was fitted and calibrated on two or more earlier ones
ranked as (

    select
        dated.*,
        compared.calibrated_on,
        compared.scaled_on,
        coalesce(dated.horizon_end <= dated.as_of_date, false) as has_outcome,
        compared.outcome_count >= 2 as is_testable,
        row_number() over (
            partition by dated.source, coalesce(dated.horizon_end <= dated.as_of_date, false)
            order by dated.known_on desc
        ) as outcome_rank,
        row_number() over (
            partition by dated.source, dated.holdout_end <= dated.as_of_date
            order by dated.known_on desc
        ) as holdout_rank
    from dated
    inner join compared
        on
            dated.source = compared.source
            and dated.known_on = compared.known_on

),

final as (

    select
        source,
        known_on,
        is_current,
        as_of_date,
        pause_days,
        horizon_days,
        horizon_end,
        has_outcome,
        has_outcome
        and is_testable
        and outcome_rank <= {{ policy_value('churn_test_cut_offs') }} as is_tested,
        calibrated_on,
        holdout_days,
        holdout_end,
        holdout_end <= as_of_date and holdout_rank = 1 as is_holdout,
        scaled_on
    from ranked

)

select * from final
