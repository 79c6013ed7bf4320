-- What rules of when to act are worth on lines of known outcome, with intervals from a Poisson
-- bootstrap over groups of orders.

{% set replicates = 200 -%}

with lines as (

    select
        *,
        prevented_cost - spent as realised_profit
    from {{ ref('int_decision_lines') }}

),

levels as (

    select
        cast({{ replicates }} * (100 - confidence_percent) / 200 as bigint) as lowest
    from {{ ref('policy_confidence_levels') }}
    where confidence_percent = {{ policy_value('interval_confidence_percent') }}

),

effects as (

    select {{ policy_value('action_effect_low_percent') }} as low_percent

),

numbers as (

    select {{ each_number(0, replicates) }} as number

),

-- never, always, by the gain of the line, by thresholds from 5 to 95 percent, and by the gain of
-- the line if its probability were no more than a rate
rules as (

    select
        'never' as rule,
        'model' as judge,
        cast(null as bigint) as threshold_percent
    union all
    select
        'always' as rule,
        'model' as judge,
        cast(null as bigint) as threshold_percent
    union all
    select
        'gain' as rule,
        'model' as judge,
        cast(null as bigint) as threshold_percent
    union all
    select
        'gain by category rate' as rule,
        'category rate' as judge,
        cast(null as bigint) as threshold_percent
    union all
    select
        'gain by base rate' as rule,
        'base rate' as judge,
        cast(null as bigint) as threshold_percent
    union all
    select
        'threshold' as rule,
        'model' as judge,
        cast(5 * number as bigint) as threshold_percent
    from numbers
    where number between 1 and 19

),

-- by group of orders and band of probability: every threshold is a sum of bands
bands as (

    select
        source,
        judge,
        order_group,
        cast(floor(return_probability * 20) as bigint) as band,
        is_recommended,
        count(*) as line_count,
        sum(case when came_back then 1 else 0 end) as returned_count,
        sum(prevented_cost) as prevented_cost,
        sum(expected_profit) as expected_profit,
        sum(realised_profit) as realised_profit,
        max(as_of_date) as as_of_date
    from lines
    group by
        source,
        judge,
        order_group,
        cast(floor(return_probability * 20) as bigint),
        is_recommended

),

applied as (

    select
        bands.*,
        rules.rule,
        rules.threshold_percent,
        case
            when rules.rule = 'never' then 0
            when rules.rule = 'always' then 1
            when rules.rule = 'threshold'
                then case when 5 * bands.band >= rules.threshold_percent then 1 else 0 end
            when bands.is_recommended then 1
            else 0
        end as acts
    from bands
    inner join rules
        on bands.judge = rules.judge

),

grouped as (

    select
        source,
        rule,
        threshold_percent,
        order_group,
        sum(line_count) as line_count,
        sum(returned_count) as returned_count,
        sum(acts * line_count) as acted_count,
        sum(acts * returned_count) as acted_returned_count,
        sum(acts * expected_profit) as expected_profit,
        sum(acts * realised_profit) as realised_profit,
        sum(acts * prevented_cost) as prevented_cost,
        max(as_of_date) as as_of_date
    from applied
    group by source, rule, threshold_percent, order_group

),

-- the three that every rule is compared with
compared as (

    select
        grouped.*,
        always.realised_profit as always_profit,
        halves.realised_profit as half_profit,
        cast(10000 * grouped.realised_profit as bigint) as profit_units,
        cast(10000 * always.realised_profit as bigint) as always_units,
        cast(10000 * halves.realised_profit as bigint) as half_units
    from grouped
    inner join grouped as always
        on
            grouped.source = always.source
            and grouped.order_group = always.order_group
            and always.rule = 'always'
    inner join grouped as halves
        on
            grouped.source = halves.source
            and grouped.order_group = halves.order_group
            and halves.rule = 'threshold'
            and halves.threshold_percent = 50

),

-- how often a group is drawn: Poisson(1) by a uniform number from its hash
draws as (

    select
        order_groups.number as order_group,
        replicates.number as replicate,
        {{ hash_share(
            "cast(order_groups.number as string) || ' of ' || cast(replicates.number as string)"
        ) }} as draw
    from numbers as order_groups
    cross join numbers as replicates

),

weights as (

    select
        order_group,
        replicate,
        case
            when draw < 0.36787944 then 0
            when draw < 0.73575888 then 1
            when draw < 0.91969860 then 2
            when draw < 0.98101184 then 3
            when draw < 0.99634015 then 4
            when draw < 0.99940582 then 5
            else 6
        end as weight
    from draws

),

-- profit per line drawn; sums of whole ten-thousandths do not depend on the order of rows
drawn as (

    select
        compared.source,
        compared.rule,
        compared.threshold_percent,
        weights.replicate,
        sum(weights.weight * compared.line_count) as line_count,
        sum(weights.weight * compared.profit_units) as profit,
        sum(weights.weight * compared.always_units) as always_profit,
        sum(weights.weight * compared.half_units) as half_profit
    from compared
    inner join weights
        on compared.order_group = weights.order_group
    group by compared.source, compared.rule, compared.threshold_percent, weights.replicate

),

per_thousand as (

    select
        source,
        rule,
        threshold_percent,
        replicate,
        cast(profit as double) / nullif(line_count, 0) / 10 as over_never,
        cast(profit - always_profit as double) / nullif(line_count, 0) / 10 as over_always,
        cast(profit - half_profit as double) / nullif(line_count, 0) / 10 as over_half
    from drawn

),

ranked as (

    select
        {%- for rival in ['never', 'always', 'half'] %}
        row_number() over (
            partition by source, rule, threshold_percent order by over_{{ rival }}, replicate
        ) as {{ rival }}_rank,
        {%- endfor %}
        *
    from per_thousand

),

intervals as (

    select
        {%- for rival in ['never', 'always', 'half'] %}
        max(case when ranked.{{ rival }}_rank = levels.lowest then ranked.over_{{ rival }} end)
            as over_{{ rival }}_lo,
        max(
            case
                when ranked.{{ rival }}_rank = {{ replicates }} + 1 - levels.lowest
                    then ranked.over_{{ rival }}
            end
        ) as over_{{ rival }}_hi,
        {%- endfor %}
        ranked.source,
        ranked.rule,
        ranked.threshold_percent
    from ranked
    cross join levels
    group by ranked.source, ranked.rule, ranked.threshold_percent

),

totals as (

    select
        source,
        rule,
        threshold_percent,
        sum(line_count) as line_count,
        sum(returned_count) as returned_count,
        sum(acted_count) as acted_count,
        sum(acted_returned_count) as acted_returned_count,
        sum(expected_profit) as expected_profit,
        sum(realised_profit) as realised_profit,
        sum(prevented_cost) as prevented_cost,
        cast(sum(realised_profit - always_profit) as double) as over_always,
        cast(sum(realised_profit - half_profit) as double) as over_half,
        max(as_of_date) as as_of_date
    from compared
    group by source, rule, threshold_percent

),

-- who scores in place of the table, if anybody
rivals as (

    select
        source,
        max(model) as model
    from {{ ref('ml_return_models') }}
    where record = 'rival'
    group by source

),

final as (

    select
        totals.source,
        'return' as task,
        coalesce(rivals.model, 'table') as model,
        case
            when totals.threshold_percent is null then totals.rule
            else 'p >= ' || cast(cast(totals.threshold_percent / 100.0 as decimal(3, 2)) as string)
        end as rule,
        totals.threshold_percent,
        cast(totals.line_count as bigint) as lines,
        cast(totals.returned_count as bigint) as returned_lines,
        cast(totals.acted_count as bigint) as acted_lines,
        cast(totals.acted_returned_count as bigint) as acted_returned_lines,
        cast(totals.expected_profit as decimal(18, 4)) as expected_profit,
        cast(totals.realised_profit as decimal(18, 4)) as realised_profit,
        cast(
            totals.realised_profit
            - totals.prevented_cost * (100 - effects.low_percent) / 100 as decimal(18, 4)
        ) as realised_profit_low,
        cast(totals.prevented_cost - totals.realised_profit as double)
        / nullif(cast(totals.prevented_cost as double), 0) as break_even_effect_share,
        1000 * cast(totals.realised_profit as double) / totals.line_count
            as gain_over_never_per_thousand,
        intervals.over_never_lo as gain_over_never_lo,
        intervals.over_never_hi as gain_over_never_hi,
        1000 * totals.over_always / totals.line_count as gain_over_always_per_thousand,
        intervals.over_always_lo as gain_over_always_lo,
        intervals.over_always_hi as gain_over_always_hi,
        1000 * totals.over_half / totals.line_count as gain_over_half_per_thousand,
        intervals.over_half_lo as gain_over_half_lo,
        intervals.over_half_hi as gain_over_half_hi,
        totals.as_of_date
    from totals
    inner join intervals
        on
            totals.source = intervals.source
            and totals.rule = intervals.rule
            and totals.threshold_percent is not distinct from intervals.threshold_percent
    cross join effects
    left join rivals
        on totals.source = rivals.source

)

select * from final
