-- How many mature lines the history of an entity weighs against the sales of one period: the
-- credibility constant (Buehlmann), rate x (1 - rate) x dispersion over the variance of the rate
-- between months, per replayed day and dimension, from months that were mature then. Where months
-- hardly differ, history decides young cohorts; where they do, their own returns.

with cells as (

    select * from {{ ref('int_sale_cells_replayed') }}
    where
        100 * maturity >= {{ policy_value('mature_completion_percent') }}
        and age_days >= {{ var('return_window_days') | int }}

),

as_of_dates as (

    select * from {{ ref('int_as_of_dates') }}

),

dispersions as (

    select * from {{ ref('int_return_dispersion') }} where unit = 'lines'

),

entity_types as (

    select 'all' as entity_type
    union all
    select 'marketplace' as entity_type
    union all
    select 'category' as entity_type
    union all
    select 'country' as entity_type

),

months as (

    select
        cells.source,
        cells.as_of_date,
        entity_types.entity_type,
        {{ entity_of('cells', 'entity_types.entity_type') }} as entity_id,
        {{ month_start('cells.ordered_date') }} as sale_month,
        cast(sum(cells.line_count) as double) as line_count,
        cast(sum(cells.returned_line_count) as double) as returned_count
    from cells
    cross join entity_types
    group by
        cells.source,
        cells.as_of_date,
        entity_types.entity_type,
        {{ entity_of('cells', 'entity_types.entity_type') }},
        {{ month_start('cells.ordered_date') }}

),

entities as (

    select
        source,
        as_of_date,
        entity_type,
        entity_id,
        count(*) as month_count,
        sum(line_count) as line_count,
        sum(line_count * line_count) as squared_lines,
        sum(returned_count) / sum(line_count) as rate,
        sum(returned_count * returned_count / line_count)
        - sum(returned_count) * sum(returned_count) / sum(line_count) as between_squares
    from months
    group by source, as_of_date, entity_type, entity_id
    having count(*) > 1

),

-- one-way analysis of variance within entities
moments as (

    select
        entities.source,
        entities.as_of_date,
        entities.entity_type,
        round(sum(entities.between_squares), 6) / sum(entities.month_count - 1) as mean_square,
        round(
            sum(entities.line_count * entities.rate * (1 - entities.rate)), 6
        ) / sum(entities.line_count) as binomial_variance,
        sum(entities.line_count - entities.squared_lines / entities.line_count)
        / sum(entities.month_count - 1) as lines_per_month
    from entities
    group by entities.source, entities.as_of_date, entities.entity_type

),

estimated as (

    select
        moments.source,
        moments.as_of_date,
        moments.entity_type,
        moments.binomial_variance * dispersions.dispersion as line_variance,
        (moments.mean_square - moments.binomial_variance * dispersions.dispersion)
        / moments.lines_per_month as month_variance
    from moments
    inner join dispersions
        on
            moments.source = dispersions.source
            and moments.as_of_date = dispersions.as_of_date

),

final as (

    select
        as_of_dates.source,
        as_of_dates.as_of_date,
        as_of_dates.is_current,
        entity_types.entity_type,
        round(
            case
                when estimated.line_variance is null or estimated.line_variance = 0
                    then {{ policy_value('prior_exposure_lines') }}
                when
                    estimated.month_variance * {{ policy_value('prior_exposure_max_lines') }}
                    <= estimated.line_variance
                    then {{ policy_value('prior_exposure_max_lines') }}
                else
                    greatest(
                        {{ policy_value('prior_exposure_lines') }},
                        estimated.line_variance / estimated.month_variance
                    )
            end,
            3
        ) as prior_exposure_lines
    from as_of_dates
    cross join entity_types
    left join estimated
        on
            as_of_dates.source = estimated.source
            and as_of_dates.as_of_date = estimated.as_of_date
            and entity_types.entity_type = estimated.entity_type

)

select * from final
