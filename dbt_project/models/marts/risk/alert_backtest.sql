-- Every rule is asked in every replayed week whose outcome is complete by now; none knew it then.

with weeks as (

    select * from {{ ref('int_alert_weeks') }}
    where entity_type in ('seller', 'product') and lines_8 > 0

),

tests as (

    select distinct
        source,
        entity_type,
        entity_id,
        week_no
    from {{ ref('int_alert_tests') }}
    where is_open

),

sources as (

    select * from {{ ref('int_sources') }}

),

means as (

    select
        *,
        cast(observed_8 as double) / lines_8 as rate,
        cast(
            sum(observed_8) over (partition by source, entity_type, week_no) as double
        )
        / sum(lines_8) over (partition by source, entity_type, week_no) as mean_rate
    from weeks

),

{%- set rules = {
    'alerts': 'tests.entity_id is not null',
    'rate > 1.5 x mean': 'means.rate > 1.5 * means.mean_rate',
    'z > 3': 'means.rate - means.mean_rate > 3 * sqrt('
        ~ 'means.mean_rate * (1 - means.mean_rate) / means.lines_8)',
} %}

-- Wilson and Hilferty: the cube root of a gamma variable is nearly normal
{%- set prior %}
(10000 / cast(
    {{ policy_value('risk_default_spread_percent') }} * {{ policy_value('risk_default_spread_percent') }}
    as double
))
{%- endset %}

outcomes as (

    {%- for outcome, observed, expected in [
        ('the weeks looked at', 'final_observed_8', 'final_expected_8'),
        ('the eight weeks after', 'next_observed', 'next_expected'),
    ] %}

    select
        means.source,
        means.entity_type,
        means.entity_id,
        means.week_no,
        '{{ outcome }}' as outcome,
        {%- for condition in rules.values() %}
        case when {{ condition }} then 1 else 0 end as alarm_{{ loop.index }},
        {%- endfor %}
        means.{{ observed }} - means.{{ expected }} as excess_returns,
        case
            when
                (
                    power(
                        cast({{ policy_value('alert_min_effect_percent') }} as double) / 100
                        * ({{ prior }} + means.{{ expected }})
                        / ({{ prior }} + means.{{ observed }}),
                        1.0 / 3
                    )
                    - 1 + 1 / (9 * ({{ prior }} + means.{{ observed }}))
                ) * 3 * sqrt({{ prior }} + means.{{ observed }}) < -1.2815515655
                then 1
            else 0
        end as is_true
    from means
    left join tests
        on
            means.source = tests.source
            and means.entity_type = tests.entity_type
            and means.entity_id = tests.entity_id
            and means.week_no = tests.week_no
    where means.{{ observed }} is not null
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

ruled as (

    {%- for rule in rules %}

    select
        source,
        entity_type,
        entity_id,
        week_no,
        outcome,
        '{{ rule }}' as rule_name,
        alarm_{{ loop.index }} as is_alarm,
        excess_returns,
        is_true
    from outcomes
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- an alarm begins where there was none the week before, and so does what it should find
begun as (

    select
        *,
        case
            when
                is_alarm = 1
                and coalesce(
                    lag(is_alarm) over (
                        partition by source, outcome, rule_name, entity_type, entity_id
                        order by week_no
                    ),
                    0
                ) = 0
                then 1
            else 0
        end as is_opening,
        week_no - sum(is_true) over (
            partition by source, outcome, rule_name, entity_type, entity_id order by week_no
        ) as episode
    from ruled

),

episodes as (

    select
        source,
        outcome,
        rule_name,
        entity_type,
        entity_id,
        max(excess_returns) as excess_returns,
        max(week_no) as last_week,
        min(case when is_alarm = 1 then week_no end) as first_alarm_week
    from begun
    where is_true = 1
    group by source, outcome, rule_name, entity_type, entity_id, episode

),

costliest as (

    select
        *,
        row_number() over (
            partition by source, outcome, rule_name
            order by round(excess_returns, 6) desc, entity_type, entity_id, last_week
        ) as cost_rank
    from episodes

),

recalled as (

    select
        source,
        outcome,
        rule_name,
        count(*) as episodes,
        count(first_alarm_week) as found_episodes,
        percentile_cont(0.5) within group (order by 7 * (last_week - first_alarm_week))
            as median_lead_days
    from costliest
    where cost_rank <= {{ policy_value('alert_backtest_episodes') }}
    group by source, outcome, rule_name

),

opened as (

    select
        source,
        outcome,
        rule_name,
        count(distinct week_no) as weeks,
        sum(is_opening) as alarms,
        sum(is_opening * is_true) as true_alarms
    from begun
    group by source, outcome, rule_name

),

final as (

    select
        opened.source,
        opened.rule_name,
        opened.outcome,
        cast(opened.weeks as bigint) as weeks,
        cast(opened.alarms as bigint) as alarms,
        cast(opened.true_alarms as bigint) as true_alarms,
        round(cast(opened.true_alarms as double) / nullif(opened.alarms, 0), 9) as alarm_precision,
        cast(coalesce(recalled.episodes, 0) as bigint) as costliest_episodes,
        cast(coalesce(recalled.found_episodes, 0) as bigint) as found_episodes,
        round(cast(recalled.found_episodes as double) / nullif(recalled.episodes, 0), 9) as recall,
        cast(recalled.median_lead_days as double) as median_lead_days,
        round(cast(opened.alarms as double) / opened.weeks, 9) as alarms_per_week,
        round(
            cast(opened.alarms as double) * {{ policy_value('alert_handling_minutes') }}
            / nullif(opened.true_alarms, 0),
            6
        ) as minutes_per_true_alarm,
        sources.as_of_date
    from opened
    inner join sources
        on opened.source = sources.source
    left join recalled
        on
            opened.source = recalled.source
            and opened.outcome = recalled.outcome
            and opened.rule_name = recalled.rule_name

)

select * from final
