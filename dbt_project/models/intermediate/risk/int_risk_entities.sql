-- Sellers, products, categories and marketplaces with what they had to expect, who their peers
-- are, and how far chance alone moves them.

with benchmarks as (

    select * from {{ ref('int_risk_benchmarks') }}

    union all

    select * from {{ ref('int_risk_past') }}

),

sizes as (

    select * from {{ ref('policy_risk_sizes') }}

),

-- lines of one order come back together
dispersions as (

    select
        dispersions.source,
        dispersions.dispersion
    from {{ ref('int_return_dispersion') }} as dispersions
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on
            dispersions.source = as_of_dates.source
            and dispersions.as_of_date = as_of_dates.as_of_date
            and as_of_dates.is_current
    where dispersions.unit = 'lines'

),

ranked as (

    select
        *,
        row_number() over (
            partition by source, entity_type, entity_id, window_days
            order by expected desc, category
        ) as category_rank
    from benchmarks

),

summed as (

    select
        source,
        entity_type,
        entity_id,
        window_days,
        max(case when category_rank = 1 then category end) as main_category,
        sum(compared_lines) as compared_lines,
        sum(observed) as observed,
        cast(sum(exposure) as double) as exposure,
        cast(sum(expected) as double) as expected,
        cast(sum(expected_final) as double) as expected_final,
        cast(sum(expected_squares) as double) as expected_squares,
        cast(sum(benchmark_variance) as double) as benchmark_variance
    from ranked
    group by source, entity_type, entity_id, window_days

),

-- so many equal lines, each with this chance to have come back by now, would vary as these do
chanced as (

    select
        *,
        least(expected_squares / expected, 0.9999) as chance,
        expected / least(expected_squares / expected, 0.9999) as trials
    from summed
    where expected > 1e-6 and expected_squares > 0

),

-- and that by which they vary more: orders, and the expectation, which is an estimate itself
equalled as (

    select
        chanced.*,
        coalesce(dispersions.dispersion, 1)
        + chanced.benchmark_variance / (chanced.expected * (1 - chanced.chance)) as dispersion
    from chanced
    left join dispersions
        on chanced.source = dispersions.source

),

final as (

    select
        equalled.source,
        equalled.entity_type,
        equalled.entity_id,
        equalled.window_days,
        case when equalled.entity_type = 'marketplace' then 'all' else equalled.main_category end
            as main_category,
        sizes.size_class,
        cast(equalled.compared_lines as bigint) as compared_lines,
        cast(equalled.observed as bigint) as observed,
        equalled.exposure,
        equalled.expected,
        equalled.expected_final,
        equalled.dispersion,
        equalled.chance,
        equalled.trials,
        equalled.observed / equalled.expected as ratio,
        equalled.dispersion * (1 - equalled.chance) / equalled.expected as ratio_variance,
        equalled.expected >= {{ policy_value('risk_min_expected_returns') }} as is_sufficient
    from equalled
    inner join sizes
        on
            equalled.expected >= sizes.expected_min
            and equalled.expected < sizes.expected_max

)

select * from final
