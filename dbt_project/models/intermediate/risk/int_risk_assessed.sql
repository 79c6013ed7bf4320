-- The verdict on every seller, product, category and marketplace and window: interval, test, tier,
-- and what the excess costs.

with sales as (

    select * from {{ ref('int_risk_sales') }}

),

posteriors as (

    select * from {{ ref('int_risk_posteriors') }}

),

tests as (

    select * from {{ ref('int_risk_tests') }}

),

tiers as (

    select * from {{ ref('policy_risk_tiers') }}

),

costs as (

    select * from {{ ref('int_return_costs_held') }}

),

overall_rates as (

    select
        source,
        compared_with,
        window_days,
        cast(returned_lines as double) / nullif(cast(exposure as double), 0) as overall_rate
    from sales
    where entity_type = 'all'

),

-- the first tier whose conditions hold
tiered as (

    select
        posteriors.source,
        posteriors.entity_type,
        posteriors.entity_id,
        posteriors.window_days,
        min(tiers.tier_rank) as tier_rank
    from posteriors
    inner join tests
        on
            posteriors.source = tests.source
            and posteriors.entity_type = tests.entity_type
            and posteriors.entity_id = tests.entity_id
            and posteriors.window_days = tests.window_days
    inner join tiers
        on
            tests.q_value <= tiers.q_max
            and posteriors.shrunk_ratio >= tiers.ratio_min
            and posteriors.lo >= tiers.lo_min
    group by
        posteriors.source, posteriors.entity_type, posteriors.entity_id, posteriors.window_days

),

joined as (

    select
        sales.source,
        sales.entity_type,
        sales.entity_id,
        sales.window_days,
        sales.lines,
        sales.comparable_lines,
        sales.returned_lines,
        cast(sales.exposure as double) as effective_exposure,
        sales.net_amount,
        posteriors.main_category,
        posteriors.peer_group,
        posteriors.peer_ratio,
        posteriors.peer_spread,
        posteriors.null_spread,
        coalesce(posteriors.compared_lines, 0) as compared_lines,
        coalesce(posteriors.observed, 0) as observed,
        coalesce(posteriors.expected, 0) as expected,
        coalesce(posteriors.expected_final, 0) as expected_final,
        posteriors.ratio,
        posteriors.shrunk_ratio,
        posteriors.lo,
        posteriors.hi,
        posteriors.shrunk_ratio_with_one_more,
        posteriors.ratio_variance + posteriors.null_spread * posteriors.null_spread
            as funnel_variance,
        posteriors.returned_weight,
        posteriors.kept_weight,
        posteriors.chance,
        posteriors.dispersion,
        overall_rates.overall_rate,
        least(1, overall_rates.overall_rate * posteriors.shrunk_ratio) as adjusted_rate,
        tests.z_score,
        tests.p_value,
        tests.q_value,
        coalesce(posteriors.is_sufficient, false) as is_sufficient,
        coalesce(tiers.risk_tier, 'insufficient data') as risk_tier,
        case
            when sales.comparable_lines = 0
                then 'no line whose returns are recorded and could have come'
            when sales.exposure < 0.001
                then 'sold too lately for any return to have come'
            when posteriors.source is null then 'no others to compare with'
            when not posteriors.is_sufficient
                then
                concat(
                    'fewer than ', cast({{ policy_value('risk_min_expected_returns') }} as string),
                    ' returns expected by now'
                )
        end as insufficient_reason,
        greatest(posteriors.shrunk_ratio - 1, 0) * posteriors.expected_final as excess_returns,
        greatest(posteriors.lo - 1, 0) * posteriors.expected_final as excess_returns_lo,
        greatest(posteriors.hi - 1, 0) * posteriors.expected_final as excess_returns_hi,
        coalesce(costs.cost_per_return, source_costs.cost_per_return) as cost_per_return
    from sales
    left join posteriors
        on
            sales.source = posteriors.source
            and sales.entity_type = posteriors.entity_type
            and sales.entity_id = posteriors.entity_id
            and sales.window_days = posteriors.window_days
    left join tests
        on
            sales.source = tests.source
            and sales.entity_type = tests.entity_type
            and sales.entity_id = tests.entity_id
            and sales.window_days = tests.window_days
    left join tiered
        on
            sales.source = tiered.source
            and sales.entity_type = tiered.entity_type
            and sales.entity_id = tiered.entity_id
            and sales.window_days = tiered.window_days
    left join tiers
        on tiered.tier_rank = tiers.tier_rank
    left join costs
        on
            sales.source = costs.source
            and sales.entity_type = costs.entity_type
            and sales.entity_id = costs.entity_id
    left join costs as source_costs
        on
            sales.source = source_costs.source
            and source_costs.entity_type = 'all'
    left join overall_rates
        on
            sales.source = overall_rates.source
            and sales.compared_with = overall_rates.compared_with
            and sales.window_days = overall_rates.window_days
    where sales.entity_type <> 'all'

),

valued as (

    select
        *,
        {{ money('excess_returns * cost_per_return') }} as excess_cost,
        {{ money('excess_returns_lo * cost_per_return') }} as excess_cost_lo,
        {{ money('excess_returns_hi * cost_per_return') }} as excess_cost_hi
    from joined

),

-- who cannot be judged has no rank
final as (

    select
        *,
        case
            when is_sufficient
                then
                cast(
                    row_number() over (
                        partition by source, entity_type, window_days, is_sufficient
                        order by
                            coalesce(excess_cost, 0) desc,
                            round(excess_returns, 6) desc,
                            round(shrunk_ratio, 9) desc,
                            entity_id
                    ) as bigint
                )
        end as risk_rank
    from valued

)

select * from final
