-- All candidates of all monitors, week by week: q-values by Benjamini and Hochberg over everything
-- that was tested in the source that week, and what is open: an alert opens at the first limit, if
-- it is large enough, and closes above the second. Who probably has so large an effect and no open
-- alert is watched.
-- A further monitor is a model int_alert_candidates_<name> with the columns named in `candidates`
-- (one row per source, entity, metric, window and week) and its name in the list below. Those of
-- data and model (drift, labels, model) also say when an effect has become small, which closes it,
-- and bring a sentence; they are a family of their own and nobody of them is watched.

with candidates as (

    {%- set monitoring = ['drift', 'labels', 'model'] %}
    {%- for monitor in ['risk', 'jumps'] + monitoring %}

    select
        source,
        {%- if monitor in monitoring %}
        'monitoring' as family,
        is_small,
        sentence,
        {%- else %}
        case when entity_type = 'all' then 'all' else 'entities' end as family,
        false as is_small,
        cast(null as string) as sentence,
        {%- endif %}
        monitor,
        entity_type,
        entity_id,
        metric,
        window_days,
        week_no,
        end_week,
        lines,
        observed,
        expected,
        effect,
        effect_lo,
        p_value,
        is_large_enough,
        excess_returns,
        money_at_risk,
        compared_with
    from {{ ref('int_alert_candidates_' ~ monitor) }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- numbers are sorted several times faster than names
series as (

    select
        *,
        row_number() over (order by source, entity_type, entity_id, metric) as series_no
    from (
        select distinct
            source,
            entity_type,
            entity_id,
            metric
        from candidates
    ) as named

),

numbered as (

    select
        candidates.*,
        series.series_no
    from candidates
    inner join series
        on
            candidates.source = series.source
            and candidates.entity_type = series.entity_type
            and candidates.entity_id = series.entity_id
            and candidates.metric = series.metric

),

questions as (

    select
        series_no,
        week_no,
        count(*) as window_count
    from numbered
    group by series_no, week_no

),

-- several windows of one metric ask the same question: Simes' p-value answers for all of them, and
-- the window with the smallest speaks for them
windows as (

    select
        numbered.*,
        questions.window_count,
        row_number() over (
            partition by numbered.series_no, numbered.week_no
            order by numbered.p_value, numbered.window_days, numbered.end_week
        ) as window_rank
    from numbered
    inner join questions
        on
            numbered.series_no = questions.series_no
            and numbered.week_no = questions.week_no
    where questions.window_count > 1

),

combined as (

    select
        *,
        min(p_value * window_count / window_rank) over (partition by series_no, week_no)
            as metric_p_value
    from windows

    union all

    select
        numbered.*,
        questions.window_count,
        1 as window_rank,
        numbered.p_value as metric_p_value
    from numbered
    inner join questions
        on
            numbered.series_no = questions.series_no
            and numbered.week_no = questions.week_no
    where questions.window_count = 1

),

-- whether something met everybody is a question of its own and not the less likely for many
-- sellers; ties share the highest rank
ranked as (

    select
        *,
        count(*) over (
            partition by source, week_no, family order by metric_p_value
        ) as p_rank,
        count(*) over (partition by source, week_no, family) as family_size
    from combined
    where window_rank = 1

),

tested as (

    select
        *,
        min(metric_p_value * family_size / p_rank) over (
            partition by source, week_no, family order by metric_p_value desc
        ) as q_value
    from ranked

),

-- the effect is known with a standard error: is it probably as large as an alert's?
judged as (

    select
        *,
        case
            when family <> 'monitoring'
                then
                {{ normal_tail(
                    '((' ~ policy_value('alert_min_effect_percent')
                    ~ ' / cast(100 as double) - effect) / ((effect - effect_lo) / 1.96))'
                ) }}
        end as large_probability
    from tested

),

followed as (

    select
        *,
        coalesce(100 * large_probability >= {{ policy_value('alert_watch_percent') }}, false)
            as is_likely,
        case
            when 100 * q_value <= {{ policy_value('alert_open_q_percent') }} and is_large_enough
                then 1
            when is_small or 100 * q_value > {{ policy_value('alert_close_q_percent') }} then 0
        end as clear_signal
    from judged

),

-- most never have a signal, and are left out of what follows
eventful as (

    select series_no
    from followed
    where clear_signal = 1 or is_likely
    group by series_no

),

preceded as (

    select
        followed.*,
        lag(followed.week_no) over (
            partition by followed.series_no order by followed.week_no
        ) as previous_week
    from followed
    inner join eventful
        on followed.series_no = eventful.series_no

),

-- after a week in which nothing could be said, it is closed; between the two limits all stays as
-- it was
signalled as (

    select
        *,
        case
            when clear_signal is not null then clear_signal
            when previous_week is null or previous_week < week_no - 1 then 0
        end as signal
    from preceded

),

counted as (

    select
        *,
        count(signal) over (partition by series_no order by week_no) as signal_number
    from signalled

),

stated as (

    select
        *,
        max(signal) over (partition by series_no, signal_number) as is_open
    from counted

),

-- open, watched, or neither
named as (

    select
        *,
        case when is_open = 1 then 'open' when is_likely then 'watch' else 'none' end as state
    from stated

),

compared_states as (

    select
        *,
        lag(state) over (partition by series_no order by week_no) as previous_state
    from named

),

-- weeks of the same state belong together, if no week is missing
spells as (

    select
        *,
        sum(
            case when previous_week = week_no - 1 and state = previous_state then 0 else 1 end
        ) over (partition by series_no order by week_no) as spell_number
    from compared_states

),

begun as (

    select
        series_no,
        week_no,
        state,
        min(week_no) over (partition by series_no, spell_number) as first_week
    from spells

),

last_weeks as (

    select
        source,
        max(week_no) as last_week
    from judged
    group by source

),

final as (

    select
        judged.source,
        judged.family,
        judged.monitor,
        judged.entity_type,
        judged.entity_id,
        judged.metric,
        judged.window_days,
        judged.week_no,
        judged.end_week,
        last_weeks.last_week,
        judged.lines,
        judged.observed,
        judged.expected,
        judged.effect,
        judged.effect_lo,
        judged.metric_p_value as p_value,
        judged.q_value,
        judged.large_probability,
        judged.excess_returns,
        judged.money_at_risk,
        judged.compared_with,
        judged.sentence,
        coalesce(begun.state = 'open', false) as is_open,
        coalesce(begun.state = 'watch', false) as is_watched,
        case when begun.state in ('open', 'watch') then begun.first_week end as first_week,
        cast(judged.family_size as bigint) as family_size
    from judged
    inner join last_weeks
        on judged.source = last_weeks.source
    left join begun
        on
            judged.series_no = begun.series_no
            and judged.week_no = begun.week_no

)

select * from final
