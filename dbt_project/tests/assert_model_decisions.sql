-- model_decisions: every rule is tried on the same lines, a higher threshold acts on fewer of them,
-- no threshold is expected to earn more than the rule by gain, and the sums are those of the lines

with decisions as (

    select * from {{ ref('model_decisions') }}

),

lines as (

    select * from {{ ref('int_decision_lines') }}

),

wanted as (

    select
        source,
        count(*) as lines,
        sum(case when expected_profit > 0 then 1 else 0 end) as acted_lines,
        sum(case when expected_profit > 0 then expected_profit else 0 end) as expected_profit,
        sum(case when expected_profit > 0 then realised_profit else 0 end) as realised_profit,
        sum(case when return_probability >= 0.5 then realised_profit else 0 end) as half_profit
    from lines
    group by source

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
        decisions.lines is distinct from wanted.lines
        or (
            decisions.rule = 'gain'
            and (
                decisions.acted_lines <> wanted.acted_lines
                or decisions.expected_profit <> wanted.expected_profit
                or decisions.realised_profit <> wanted.realised_profit
            )
        )
        or (decisions.rule = 'p >= 0.50' and decisions.realised_profit <> wanted.half_profit)

    union all

    select
        'twenty-two rules' as problem,
        source,
        cast(count(*) as string) as example
    from decisions
    group by source
    having count(*) <> 22

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
        'a rule is expected to earn more than the rule by gain' as problem,
        decisions.source,
        decisions.rule as example
    from decisions
    inner join wanted
        on decisions.source = wanted.source
    where decisions.expected_profit > wanted.expected_profit

)

select * from broken
