-- Every rule is asked in every replayed week whose outcome is complete by now; none knew it then.

{%- set rules = {
    'alerts': 'coalesce(tests.is_high, 0) + coalesce(tests.is_jump, 0) > 0',
    'alerts: return rate': 'tests.is_high = 1',
    'alerts: jump of the return rate': 'tests.is_jump = 1',
    'rate > 1.5 x mean': 'means.rate > 1.5 * means.mean_rate',
    'z > 3': 'means.rate - means.mean_rate > 3 * sqrt('
        ~ 'means.mean_rate * (1 - means.mean_rate) / means.lines_8)',
} %}

-- Wilson and Hilferty: the cube root of a gamma variable is nearly normal. The deviate of
-- alert_min_effect_percent in what is believed of the true ratio after the outcome
{%- set prior %}
(10000 / cast(
    {{ policy_value('risk_default_spread_percent') }} * {{ policy_value('risk_default_spread_percent') }}
    as double
))
{%- endset %}

with weeks as (

    select * from {{ ref('int_alert_weeks') }}
    where entity_type in ('seller', 'product') and lines_8 > 0 and final_observed_8 is not null

),

tests as (

    select
        source,
        entity_type,
        entity_id,
        week_no,
        max(case when metric = 'return rate' then 1 else 0 end) as is_high,
        max(case when metric = 'jump of the return rate' then 1 else 0 end) as is_jump
    from {{ ref('int_alert_tests') }}
    where is_open and entity_type in ('seller', 'product')
    group by source, entity_type, entity_id, week_no

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

alarms as (

    select
        {%- for condition in rules.values() %}
        case when {{ condition }} then 1 else 0 end as alarm_{{ loop.index }},
        {%- endfor %}
        means.*
    from means
    left join tests
        on
            means.source = tests.source
            and means.entity_type = tests.entity_type
            and means.entity_id = tests.entity_id
            and means.week_no = tests.week_no

),

-- an alarm begins where there was none the week before
begun as (

    select
        *,
    {%- for rule in rules %}
    case
        when
            alarm_{{ loop.index }} = 1
            and coalesce(
                lag(alarm_{{ loop.index }}) over (partition by entity_no order by week_no), 0
            ) = 0
            then 1
        else 0
    end as opening_{{ loop.index }}
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
    from alarms

),

outcomes as (

    {%- for outcome, observed, expected in [
        ('the weeks looked at', 'final_observed_8', 'final_expected_8'),
        ('the half year after', 'next_observed', 'next_expected'),
    ] %}

    select
        begun.*,
        '{{ outcome }}' as outcome,
        {{ observed }} - {{ expected }} as excess_returns,
        (
            power(
                cast({{ policy_value('alert_min_effect_percent') }} as double) / 100
                * ({{ prior }} + {{ expected }}) / ({{ prior }} + {{ observed }}),
                1.0 / 3
            )
            - 1 + 1 / (9 * ({{ prior }} + {{ observed }}))
        ) * 3 * sqrt({{ prior }} + {{ observed }}) as deviate
    from begun
    where {{ observed }} is not null
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- nine in ten that it is beyond the limit, nine in ten that it is not, or neither
decided as (

    select
        *,
        case when deviate < -1.2815515655 then 1 else 0 end as is_true,
        case when deviate > 1.2815515655 then 1 else 0 end as is_false
    from outcomes

),

numbered as (

    select
        *,
        week_no - row_number() over (partition by outcome, entity_no order by week_no) as episode
    from decided
    where is_true = 1

),

episodes as (

    select
        source,
        outcome,
        entity_type,
        entity_id,
        {%- for rule in rules %}
        min(case when alarm_{{ loop.index }} = 1 then week_no end) as alarm_week_{{ loop.index }},
        {%- endfor %}
        max(excess_returns) as excess_returns,
        max(week_no) as last_week
    from numbered
    group by source, outcome, entity_type, entity_id, episode

),

costliest as (

    select
        *,
        row_number() over (
            partition by source, outcome
            order by round(excess_returns, 6) desc, entity_type, entity_id, last_week
        ) as cost_rank
    from episodes

),

recalled as (

    {%- for rule in rules %}

    select
        source,
        outcome,
        '{{ rule }}' as rule_name,
        count(*) as episodes,
        count(alarm_week_{{ loop.index }}) as found_episodes,
        percentile_cont(0.5) within group (
            order by 7 * (last_week - alarm_week_{{ loop.index }})
        ) as median_lead_days
    from costliest
    where cost_rank <= {{ policy_value('alert_backtest_episodes') }}
    group by source, outcome
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

summed as (

    select
        source,
        outcome,
        {%- for rule in rules %}
        sum(opening_{{ loop.index }}) as alarms_{{ loop.index }},
        sum(opening_{{ loop.index }} * is_true) as true_alarms_{{ loop.index }},
        sum(opening_{{ loop.index }} * is_false) as false_alarms_{{ loop.index }},
        {%- endfor %}
        count(distinct week_no) as weeks
    from decided
    group by source, outcome

),

opened as (

    {%- for rule in rules %}

    select
        source,
        outcome,
        '{{ rule }}' as rule_name,
        weeks,
        alarms_{{ loop.index }} as alarms,
        true_alarms_{{ loop.index }} as true_alarms,
        false_alarms_{{ loop.index }} as false_alarms
    from summed
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

final as (

    select
        opened.source,
        opened.rule_name,
        opened.outcome,
        cast(opened.weeks as bigint) as weeks,
        cast(opened.alarms as bigint) as alarms,
        cast(opened.true_alarms as bigint) as true_alarms,
        cast(opened.false_alarms as bigint) as false_alarms,
        cast(opened.alarms - opened.true_alarms - opened.false_alarms as bigint)
            as undecided_alarms,
        round(
            cast(opened.true_alarms as double)
            / nullif(opened.true_alarms + opened.false_alarms, 0),
            9
        ) as alarm_precision,
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
