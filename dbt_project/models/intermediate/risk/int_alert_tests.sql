-- All candidates of all monitors, week by week: q-values by Benjamini and Hochberg over everything
-- that was tested in the source that week, and what is open: an alert opens at the first limit, if
-- it is large enough, and closes above the second.

with candidates as (

    {%- for monitor in ['risk', 'jumps'] %}

    select * from {{ ref('int_alert_candidates_' ~ monitor) }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- several windows of one metric ask the same question: Simes' p-value answers for all of them, and
-- the window with the smallest speaks for them
windows as (

    select
        *,
        row_number() over (
            partition by source, entity_type, entity_id, metric, week_no
            order by p_value, window_days, end_week
        ) as window_rank,
        count(*) over (
            partition by source, entity_type, entity_id, metric, week_no
        ) as window_count
    from candidates

),

combined as (

    select
        *,
        min(p_value * window_count / window_rank) over (
            partition by source, entity_type, entity_id, metric, week_no
        ) as metric_p_value
    from windows

),

-- ties share the highest rank
ranked as (

    select
        *,
        count(*) over (partition by source, week_no order by metric_p_value) as p_rank,
        count(*) over (partition by source, week_no) as family_size
    from combined
    where window_rank = 1

),

tested as (

    select
        *,
        min(metric_p_value * family_size / p_rank) over (
            partition by source, week_no order by metric_p_value desc
        ) as q_value,
        lag(week_no) over (
            partition by source, entity_type, entity_id, metric order by week_no
        ) as previous_week
    from ranked

),

signalled as (

    select
        *,
        case
            when 100 * q_value <= {{ policy_value('alert_open_q_percent') }} and is_large_enough
                then 1
            when 100 * q_value > {{ policy_value('alert_close_q_percent') }} then 0
            -- after a week in which nothing could be said, it is closed
            when previous_week is null or previous_week < week_no - 1 then 0
        end as signal
    from tested

),

-- between the two limits all stays as it was
counted as (

    select
        *,
        count(signal) over (
            partition by source, entity_type, entity_id, metric order by week_no
        ) as signal_number
    from signalled

),

stated as (

    select
        *,
        max(signal) over (
            partition by source, entity_type, entity_id, metric, signal_number
        ) as is_open
    from counted

),

changed as (

    select
        *,
        sum(1 - is_open) over (
            partition by source, entity_type, entity_id, metric order by week_no
        ) as closed_weeks,
        max(week_no) over (partition by source) as last_week
    from stated

),

-- open weeks with the same number of closed ones before them belong together, if no week is missing
spells as (

    select
        *,
        sum(case when previous_week = week_no - 1 or previous_week is null then 0 else 1 end) over (
            partition by source, entity_type, entity_id, metric order by week_no
        ) as gap_number
    from changed

),

final as (

    select
        source,
        monitor,
        entity_type,
        entity_id,
        metric,
        window_days,
        week_no,
        end_week,
        last_week,
        lines,
        observed,
        expected,
        effect,
        effect_lo,
        metric_p_value as p_value,
        q_value,
        excess_returns,
        money_at_risk,
        compared_with,
        is_open = 1 as is_open,
        case
            when is_open = 1
                then
                min(case when is_open = 1 then week_no end) over (
                    partition by source, entity_type, entity_id, metric, closed_weeks, gap_number
                )
        end as first_week,
        cast(family_size as bigint) as family_size
    from spells

)

select * from final
