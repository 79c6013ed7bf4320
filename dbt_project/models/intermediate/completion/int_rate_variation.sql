-- By how much one month's sales come back more or less than another's, in all categories and
-- currencies at once: squared and relative, per replayed day. Christmas, a recession or a supplier
-- move everything together, so no number of categories averages this out.

with lines_rates as (

    select * from {{ ref('int_open_rates') }} where unit = 'lines'

),

prior_exposures as (

    select * from {{ ref('int_prior_exposures') }} where entity_type = 'all'

),

dispersions as (

    select * from {{ ref('int_return_dispersion') }} where unit = 'lines'

),

source_rates as (

    select
        source,
        as_of_date,
        least(1, cast(sum(numerator) as double) / nullif(round(sum(exposure), 6), 0)) as rate
    from lines_rates
    group by source, as_of_date

),

-- what history weighs says how much months differ: rate x (1 - rate) x dispersion / prior_exposure
final as (

    select
        source_rates.source,
        source_rates.as_of_date,
        case
            when source_rates.rate > 0
                then
                (1 - source_rates.rate) * dispersions.dispersion
                / (source_rates.rate * prior_exposures.prior_exposure_lines)
            else 0
        end as relative_variance
    from source_rates
    inner join prior_exposures
        on
            source_rates.source = prior_exposures.source
            and source_rates.as_of_date = prior_exposures.as_of_date
    inner join dispersions
        on
            source_rates.source = dispersions.source
            and source_rates.as_of_date = dispersions.as_of_date

)

select * from final
