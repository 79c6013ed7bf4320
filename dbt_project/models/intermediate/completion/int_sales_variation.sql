-- How far off it was, over the last year, to expect the coming weeks to sell as much as the last
-- ones: growth and squared relative error, per replayed day, category (and all) and number of weeks
-- ahead.

{% set weeks = policy_value('forecast_history_weeks') -%}
{% set min_forecasts = policy_value('growth_min_forecasts') -%}

with as_of_dates as (

    select * from {{ ref('int_as_of_dates') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

sale_cells as (

    select * from {{ ref('int_sale_cells') }}

),

scopes as (

    select 'category' as scope
    union all
    select 'all' as scope

),

daily as (

    select
        sale_cells.source,
        case scopes.scope when 'all' then 'all' else sale_cells.category end as category,
        sale_cells.ordered_date,
        sum(sale_cells.quantity) as quantity
    from sale_cells
    cross join scopes
    group by
        sale_cells.source,
        case scopes.scope when 'all' then 'all' else sale_cells.category end,
        sale_cells.ordered_date

),

categories as (

    select distinct
        source,
        category
    from daily

),

-- weeks counted back from the replayed day, 0 is the one that ends on it
week_numbers as (

    select {{ each_number(0, 52) }} as weeks_ago

),

sold as (

    select
        as_of_dates.source,
        as_of_dates.as_of_date,
        daily.category,
        floor({{ days_between('daily.ordered_date', 'as_of_dates.as_of_date') }} / 7) as weeks_ago,
        sum(daily.quantity) as quantity
    from as_of_dates
    inner join daily
        on
            as_of_dates.source = daily.source
            and as_of_dates.as_of_date >= daily.ordered_date
            and {{ days_between('daily.ordered_date', 'as_of_dates.as_of_date') }} < 364
    group by
        as_of_dates.source,
        as_of_dates.as_of_date,
        daily.category,
        floor({{ days_between('daily.ordered_date', 'as_of_dates.as_of_date') }} / 7)

),

-- whole weeks since the first sale, also those without a sale
weekly as (

    select
        as_of_dates.source,
        as_of_dates.as_of_date,
        categories.category,
        week_numbers.weeks_ago,
        coalesce(sold.quantity, 0) as quantity
    from as_of_dates
    inner join sources
        on as_of_dates.source = sources.source
    inner join week_numbers
        on
            7 * (week_numbers.weeks_ago + 1)
            <= {{ days_between('sources.first_event_date', 'as_of_dates.as_of_date') }} + 1
    inner join categories
        on as_of_dates.source = categories.source
    left join sold
        on
            as_of_dates.source = sold.source
            and as_of_dates.as_of_date = sold.as_of_date
            and categories.category = sold.category
            and week_numbers.weeks_ago = sold.weeks_ago

),

running as (

    select
        *,
        sum(quantity) over (
            partition by source, as_of_date, category
            order by weeks_ago desc
            rows between unbounded preceding and current row
        ) as sold_so_far,
        count(*) over (partition by source, as_of_date, category) as week_count
    from weekly

),

horizons as (

    select {{ each_number(1, policy_value('forecast_weeks') ~ ' + 1') }} as weeks_ahead

),

origins as (

    select
        running.*,
        horizons.weeks_ahead,
        running.weeks_ago + {{ weeks }} as start_week,
        running.weeks_ago - greatest(0, horizons.weeks_ahead - 4) as middle_week,
        running.weeks_ago - horizons.weeks_ahead as end_week
    from running
    cross join horizons
    where running.weeks_ago + {{ weeks }} <= running.week_count

),

-- the mean of the weeks up to each past week against that of the weeks whose sales come back in the
-- week forecast: it and the three before it
forecasts as (

    select
        origins.source,
        origins.as_of_date,
        origins.category,
        origins.weeks_ahead,
        cast(origins.sold_so_far - coalesce(starts.sold_so_far, 0) as double) / {{ weeks }}
            as expected,
        cast(ends.sold_so_far - middles.sold_so_far as double) / least(4, origins.weeks_ahead)
            as outcome
    from origins
    inner join running as ends
        on
            origins.source = ends.source
            and origins.as_of_date = ends.as_of_date
            and origins.category = ends.category
            and origins.end_week = ends.weeks_ago
    inner join running as middles
        on
            origins.source = middles.source
            and origins.as_of_date = middles.as_of_date
            and origins.category = middles.category
            and origins.middle_week = middles.weeks_ago
    left join running as starts
        on
            origins.source = starts.source
            and origins.as_of_date = starts.as_of_date
            and origins.category = starts.category
            and origins.start_week = starts.weeks_ago

),

sums as (

    select
        source,
        as_of_date,
        category,
        weeks_ahead,
        count(*) as forecast_count,
        round(sum(expected), 6) as expected,
        round(sum(outcome), 6) as outcome,
        round(sum(expected * expected), 6) as squared_expected,
        round(sum(expected * outcome), 6) as crossed,
        round(sum(outcome * outcome), 6) as squared_outcome
    from forecasts
    group by source, as_of_date, category, weeks_ahead

),

-- growth is that of the whole source: a category alone says little about it
growths as (

    select
        source,
        as_of_date,
        weeks_ahead,
        case
            when forecast_count >= {{ min_forecasts }} and expected > 0 then outcome / expected
            else 1
        end as growth
    from sums
    where category = 'all'

),

-- who has not seen four such forecasts end knows nothing: wrong by as much as is expected
final as (

    select
        as_of_dates.source,
        as_of_dates.as_of_date,
        categories.category,
        cast(horizons.weeks_ahead as bigint) as weeks_ahead,
        coalesce(growths.growth, 1) as growth,
        case
            when sums.forecast_count >= 4 and sums.squared_expected > 0 and growths.growth > 0
                then
                greatest(
                    0,
                    sums.squared_outcome - 2 * growths.growth * sums.crossed
                    + growths.growth * growths.growth * sums.squared_expected
                ) / (growths.growth * growths.growth * sums.squared_expected)
            else 1
        end as relative_variance
    from as_of_dates
    inner join categories
        on as_of_dates.source = categories.source
    cross join horizons
    left join growths
        on
            as_of_dates.source = growths.source
            and as_of_dates.as_of_date = growths.as_of_date
            and horizons.weeks_ahead = growths.weeks_ahead
    left join sums
        on
            as_of_dates.source = sums.source
            and as_of_dates.as_of_date = sums.as_of_date
            and categories.category = sums.category
            and horizons.weeks_ahead = sums.weeks_ahead

)

select * from final
