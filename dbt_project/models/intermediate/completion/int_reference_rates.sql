-- The return rate of each stratum in the year before each replayed day: what a line is expected to
-- come back with before its own member has said anything. Strata that return more also return
-- faster, so exposures of mixed slices are weighed with it.

with cells as (

    select * from {{ ref('int_sale_cells_replayed') }}

),

strata as (

    select
        source,
        as_of_date,
        is_current,
        stratum_1,
        cast(sum(returned_line_count) as double) as numerator,
        cast(sum({{ weighted('line_count', 'maturity') }}) as double) as exposure
    from cells
    group by source, as_of_date, is_current, stratum_1

),

source_rates as (

    select
        source,
        as_of_date,
        sum(numerator) / nullif(round(sum(exposure), 6), 0) as source_rate
    from strata
    group by source, as_of_date

),

final as (

    select
        strata.source,
        strata.as_of_date,
        strata.is_current,
        strata.stratum_1,
        -- never 0, so that a stratum without any return yet can still have one
        cast(
            greatest(
                0.0001,
                coalesce(
                    {{ exposure_rate(
                        'strata.numerator', 'strata.exposure', 'source_rates.source_rate',
                        policy_value('prior_exposure_lines')
                    ) }},
                    0
                )
            ) as decimal(9, 6)
        ) as reference_rate
    from strata
    inner join source_rates
        on
            strata.source = source_rates.source
            and strata.as_of_date = source_rates.as_of_date

)

select * from final
