-- Monitor: are the orders of the week like those before? By the rule of drift_batches, with what
-- was known when the week ended: the features known at once, and the tests of this week alone.
-- Delivery times and return rates are known weeks later; late deliveries and the other monitors
-- say it sooner.

{%- set alpha = policy_value('drift_alpha_percent') %}

with features as (

    select * from {{ ref('drift_features') }}
    where
        batch_grain = 'week'
        and feature not in ('delivery_days', 'return_rate')
        and p_value is not null
        and excess_share is not null

),

sources as (

    select
        source,
        {{ week_number(dbt.dateadd('day', 1, 'as_of_date')) }} - 1 as last_week
    from {{ ref('int_sources') }}
    where as_of_date is not null

),

severities as (

    select * from {{ ref('policy_drift_severities') }}

),

limits as (

    select
        max(case when severity = 'warning' then score_min end) as open_score,
        max(case when severity = 'watch' then score_min end) as close_score
    from severities

),

ranked as (

    select
        features.*,
        {{ week_number('features.batch_start') }} as week_no,
        count(*) over (
            partition by features.source, features.batch order by features.p_value
        ) as p_rank,
        count(*) over (partition by features.source, features.batch) as family_size
    from features
    inner join sources
        on
            features.source = sources.source
            and {{ week_number('features.batch_start') }} <= sources.last_week
            and {{ week_number('features.batch_start') }}
            >= {{ policy_value('alert_replay_weeks') }} * (
                floor(sources.last_week / {{ policy_value('alert_replay_weeks') }}) - 1
            )
            -- of the first half year, what is quiet would be learnt from less with each build
            and {{ week_number('features.batch_start') }}
            > sources.last_week - {{ policy_value('drift_weeks') }} + 26

),

adjusted as (

    select
        *,
        min(p_value * family_size / p_rank) over (
            partition by source, batch order by p_value desc
        ) as week_q_value
    from ranked

),

scored as (

    select
        *,
        case
            when 100 * week_q_value <= {{ alpha }}
                then round(100 * importance * excess_share, 3)
            else 0
        end as score
    from adjusted

),

placed as (

    select
        *,
        row_number() over (
            partition by source, batch
            order by score desc, p_value, coalesce(moved_share, 0) desc, feature
        ) as feature_rank
    from scored

),

-- of features together Simes' p-value, which is the least of their q-values
weeks as (

    select
        source,
        week_no,
        max(batch_lines) as lines,
        least(1, min(week_q_value)) as p_value,
        max(score) as score,
        max(case when feature_rank = 1 then feature end) as feature,
    {%- for number in [1, 2, 3] %}
    max(case when feature_rank = {{ number }} and score > 0 then sentence end)
        as sentence_{{ number }}
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
    from placed
    group by source, week_no

),

graded as (

    select
        weeks.source,
        weeks.week_no,
        min(severities.severity_rank) as severity_rank
    from weeks
    inner join severities
        on weeks.score >= severities.score_min
    group by weeks.source, weeks.week_no

),

final as (

    select
        weeks.source,
        'drift' as monitor,
        'source' as entity_type,
        weeks.source as entity_id,
        'drift of orders' as metric,
        cast(7 as bigint) as window_days,
        weeks.week_no,
        weeks.week_no as end_week,
        cast(weeks.lines as bigint) as lines,
        cast(null as double) as observed,
        cast(null as double) as expected,
        1 + weeks.score / 100 as effect,
        cast(null as double) as effect_lo,
        weeks.p_value,
        weeks.score >= limits.open_score as is_large_enough,
        weeks.score < limits.close_score as is_small,
        cast(null as double) as excess_returns,
        {{ money(
            'severities.action_hours * cast(' ~ policy_value('drift_hour_cost') ~ ' as double)'
        ) }} as money_at_risk,
        cast(null as string) as compared_with,
        concat(
            'Orders of the week up to ',
            {{ period_text(week_end('weeks.week_no'), week_end('weeks.week_no')) }},
            ' are not like those before: ',
            concat_ws('; ', weeks.sentence_1, weeks.sentence_2, weeks.sentence_3), '. ',
            {{ filled_in(
                'severities.recommendation', {'driver': "replace(weeks.feature, '_', ' ')"}
            ) }}
        ) as sentence
    from weeks
    inner join graded
        on
            weeks.source = graded.source
            and weeks.week_no = graded.week_no
    inner join severities
        on graded.severity_rank = severities.severity_rank
    cross join limits

)

select * from final
