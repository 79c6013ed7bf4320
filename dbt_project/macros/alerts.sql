{#- The last steps of every monitor that compares returns with an expectation: reads a CTE `compared`
    with source, entity_type, entity_id, week_no, end_week, window_days, observed, expected, expected_final,
    chance, dispersion, spread_variance and lines, and makes the CTE `final` of the common shape of
    candidates. `words` is an expression: what the expectation is. -#}
{% macro alert_candidates(monitor, metric, words) -%}
    spreads as (

    select power(cast({{ policy_value('risk_default_spread_percent') }} as double) / 100, 2)
        as prior_variance

),

sufficient as (

    select
        compared.*,
        observed / expected as ratio,
        dispersion * (1 - chance) / expected as ratio_variance,
        spreads.prior_variance,
        case when observed > 0 then {{ excess_z() }} end as z_score
    from compared
    cross join spreads
    where expected >= {{ policy_value('risk_min_expected_returns') }}

),

-- a large ratio of a few lines is mostly chance: held by 1 as much as sellers are alike elsewhere
shrunk as (

    select
        *,
        case when z_score is null then 1 else {{ normal_tail('z_score') }} end as p_value,
        (ratio * prior_variance + ratio_variance) / (prior_variance + ratio_variance) as effect,
        sqrt(prior_variance * ratio_variance / (prior_variance + ratio_variance)) as effect_error
    from sufficient

),

costs as (

    select * from {{ ref('int_return_costs_held') }}

),

final as (

    select
        shrunk.source,
        '{{ monitor }}' as monitor,
        shrunk.entity_type,
        shrunk.entity_id,
        '{{ metric }}' as metric,
        cast(shrunk.window_days as bigint) as window_days,
        shrunk.week_no,
        shrunk.end_week,
        cast(shrunk.lines as bigint) as lines,
        cast(shrunk.observed as double) as observed,
        shrunk.expected,
        shrunk.effect,
        shrunk.effect - 1.96 * shrunk.effect_error as effect_lo,
        shrunk.p_value,
        100 * shrunk.effect > {{ policy_value('alert_min_effect_percent') }} as is_large_enough,
        greatest(shrunk.effect - 1, 0) * shrunk.expected_final as excess_returns,
        {{ money(
            'greatest(shrunk.effect - 1, 0) * shrunk.expected_final '
            ~ '* coalesce(costs.cost_per_return, source_costs.cost_per_return)'
        ) }} as money_at_risk,
        {{ words }} as compared_with
    from shrunk
    left join costs
        on
            shrunk.source = costs.source
            and shrunk.entity_type = costs.entity_type
            and shrunk.entity_id = costs.entity_id
    left join costs as source_costs
        on
            shrunk.source = source_costs.source
            and source_costs.entity_type = 'all'

)
{%- endmacro %}
