-- model_decisions: every rule is tried on the same lines, a higher threshold acts on fewer of them,
-- no threshold is expected to earn more than all gains together, the sums are those of the lines,
-- and at the share of break-even nothing is left

with decisions as (

    select * from {{ ref('model_decisions') }}

),

lines as (

    select
        *,
        prevented_cost - spent as realised_profit
    from {{ ref('int_decision_lines') }}

),

wanted as (

    select
        source,
        judge,
        case judge when 'model' then 'gain' else 'gain by ' || judge end as rule,
        count(*) as lines,
        sum(case when is_recommended then 1 else 0 end) as acted_lines,
        sum(case when expected_profit > 0 then expected_profit else 0 end) as largest_profit,
        sum(case when is_recommended then expected_profit else 0 end) as expected_profit,
        sum(case when is_recommended then realised_profit else 0 end) as realised_profit,
        sum(case when return_probability >= 0.5 then realised_profit else 0 end) as half_profit
    from lines
    group by source, judge

),

broken as (

    select
        'not the lines' as problem,
        wanted.source,
        decisions.rule as example
    from wanted
    left join decisions
        on wanted.source = decisions.source
    where
        decisions.rule is null
        or decisions.lines is distinct from wanted.lines
        or (
            decisions.rule = wanted.rule
            and (
                decisions.acted_lines <> wanted.acted_lines
                or decisions.expected_profit <> wanted.expected_profit
                or decisions.realised_profit <> wanted.realised_profit
            )
        )
        or (
            decisions.rule = 'p >= 0.50'
            and wanted.judge = 'model'
            and decisions.realised_profit <> wanted.half_profit
        )

    union all

    select
        'twenty-four rules' as problem,
        source,
        cast(count(*) as string) as example
    from decisions
    group by source
    having count(*) <> 24

    union all

    select
        'a higher threshold acts on more lines' as problem,
        lower_ones.source,
        lower_ones.rule as example
    from decisions as lower_ones
    inner join decisions as higher_ones
        on
            lower_ones.source = higher_ones.source
            and lower_ones.threshold_percent < higher_ones.threshold_percent
    where lower_ones.acted_lines < higher_ones.acted_lines

    union all

    select
        'a rule is expected to earn more than all gains' as problem,
        decisions.source,
        decisions.rule as example
    from decisions
    inner join wanted
        on decisions.source = wanted.source
    where
        wanted.judge = 'model'
        and decisions.rule not like 'gain by %'
        and decisions.expected_profit > wanted.largest_profit

    union all

    select
        'profit does not fall to nothing at the share of break-even' as problem,
        source,
        rule as example
    from decisions
    where
        break_even_effect_share is not null
        and abs(
            (1 - break_even_effect_share)
            * cast(realised_profit - realised_profit_low as double)
            / (1 - {{ policy_value('action_effect_low_percent') }} / 100.0)
            - cast(realised_profit as double)
        ) > 0.01

)

select * from broken
