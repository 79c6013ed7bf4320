-- How many returns came on each of the last days and how many the sales of the days before let
-- expect: per replayed day, and per marketplace (`*` is the whole source). A carrier or warehouse
-- that stands still is a hole in this series.

with as_of_dates as (

    select * from {{ ref('int_as_of_dates') }}

),

sale_cells as (

    select * from {{ ref('int_sale_cells') }}

),

return_cells as (

    select * from {{ ref('int_return_cells') }}

),

curves as (

    select
        source,
        as_of_date,
        age_days,
        completion,
        completion - lag(completion, 1, 0) over (
            partition by source, as_of_date order by age_days
        ) as arriving_share
    from {{ ref('int_completion_curves') }}
    where level = 0

),

scoped_sales as (

    select
        source,
        marketplace,
        ordered_date,
        sum(line_count) as line_count
    from sale_cells
    group by source, marketplace, ordered_date

    union all

    select
        source,
        '*' as marketplace,
        ordered_date,
        sum(line_count) as line_count
    from sale_cells
    group by source, ordered_date

),

scoped_returns as (

    select
        source,
        marketplace,
        returned_date,
        sum(return_count) as return_count,
        sum(return_count * days_to_return) as age_sum,
        sum(squared_return_count) as squared_return_count
    from return_cells
    where days_to_return <= {{ policy_value('completion_max_age_days') }}
    group by source, marketplace, returned_date

    union all

    select
        source,
        '*' as marketplace,
        returned_date,
        sum(return_count) as return_count,
        sum(return_count * days_to_return) as age_sum,
        sum(squared_return_count) as squared_return_count
    from return_cells
    where days_to_return <= {{ policy_value('completion_max_age_days') }}
    group by source, returned_date

),

-- what the last year lets expect: returns against effective exposure, so that returns on the way
-- are counted in, and the share of each weekday (nothing arrives where nobody works on Sundays)
exposures as (

    select
        scoped_sales.source,
        as_of_dates.as_of_date,
        scoped_sales.marketplace,
        sum(scoped_sales.line_count * curves.completion) as exposure
    from scoped_sales
    inner join as_of_dates
        on
            scoped_sales.source = as_of_dates.source
            and scoped_sales.ordered_date <= as_of_dates.as_of_date
            and {{ days_between('scoped_sales.ordered_date', 'as_of_dates.as_of_date') }}
            < {{ policy_value('completion_window_days') }}
    inner join curves
        on
            scoped_sales.source = curves.source
            and as_of_dates.as_of_date = curves.as_of_date
            and least(
                {{ days_between('scoped_sales.ordered_date', 'as_of_dates.as_of_date') }},
                {{ policy_value('completion_max_age_days') }}
            ) = curves.age_days
    group by scoped_sales.source, as_of_dates.as_of_date, scoped_sales.marketplace

),

year_returns as (

    select
        return_cells.source,
        as_of_dates.as_of_date,
        return_cells.marketplace,
        {{ weekday('return_cells.returned_date') }} as weekday,
        sum(return_cells.return_count) as return_count
    from return_cells
    inner join as_of_dates
        on
            return_cells.source = as_of_dates.source
            and return_cells.returned_date <= as_of_dates.as_of_date
            and {{ days_between('return_cells.ordered_date', 'as_of_dates.as_of_date') }}
            < {{ policy_value('completion_window_days') }}
    where return_cells.days_to_return <= {{ policy_value('completion_max_age_days') }}
    group by
        return_cells.source,
        as_of_dates.as_of_date,
        return_cells.marketplace,
        {{ weekday('return_cells.returned_date') }}

),

weekday_shares as (

    select
        source,
        as_of_date,
        weekday,
        7 * cast(sum(return_count) as double)
        / sum(sum(return_count)) over (partition by source, as_of_date) as weekday_factor
    from year_returns
    group by source, as_of_date, weekday

),

rates as (

    select
        exposures.source,
        exposures.as_of_date,
        exposures.marketplace,
        sum(year_returns.return_count) / nullif(max(exposures.exposure), 0) as return_rate
    from exposures
    inner join year_returns
        on
            exposures.source = year_returns.source
            and exposures.as_of_date = year_returns.as_of_date
            and (
                exposures.marketplace = year_returns.marketplace
                or exposures.marketplace = '*'
            )
    group by exposures.source, exposures.as_of_date, exposures.marketplace

),

days as (

    select
        as_of_dates.source,
        as_of_dates.as_of_date,
        int_days.day
    from as_of_dates
    inner join {{ ref('int_days') }} as int_days
        on
            as_of_dates.source = int_days.source
            and as_of_dates.as_of_date >= int_days.day
            and {{ days_between('int_days.day', 'as_of_dates.as_of_date') }}
            < 2 * {{ policy_value('delay_search_days') }}

),

expected as (

    select
        days.source,
        days.as_of_date,
        days.day,
        scoped_sales.marketplace,
        sum(scoped_sales.line_count * curves.arriving_share) as arriving_lines,
        sum(scoped_sales.line_count * curves.arriving_share * curves.age_days) as arriving_ages,
        sum(
            scoped_sales.line_count * curves.arriving_share * curves.age_days * curves.age_days
        ) as arriving_squared_ages
    from days
    inner join scoped_sales
        on
            days.source = scoped_sales.source
            and days.day >= scoped_sales.ordered_date
    inner join curves
        on
            days.source = curves.source
            and days.as_of_date = curves.as_of_date
            and {{ days_between('scoped_sales.ordered_date', 'days.day') }} = curves.age_days
            and curves.arriving_share > 0
    group by days.source, days.as_of_date, days.day, scoped_sales.marketplace

),

final as (

    select
        expected.source,
        expected.as_of_date,
        expected.marketplace,
        expected.day,
        cast(coalesce(scoped_returns.return_count, 0) as bigint) as observed_returns,
        cast(coalesce(scoped_returns.age_sum, 0) as bigint) as observed_age_sum,
        round(
            expected.arriving_lines * rates.return_rate
            * coalesce(weekday_shares.weekday_factor, 0),
            6
        ) as expected_returns,
        round(
            expected.arriving_ages * rates.return_rate
            * coalesce(weekday_shares.weekday_factor, 0),
            6
        ) as expected_age_sum,
        round(
            expected.arriving_squared_ages * rates.return_rate
            * coalesce(weekday_shares.weekday_factor, 0),
            6
        ) as expected_squared_age_sum
    from expected
    inner join rates
        on
            expected.source = rates.source
            and expected.as_of_date = rates.as_of_date
            and expected.marketplace = rates.marketplace
    left join weekday_shares
        on
            expected.source = weekday_shares.source
            and expected.as_of_date = weekday_shares.as_of_date
            and {{ weekday('expected.day') }} = weekday_shares.weekday
    left join scoped_returns
        on
            expected.source = scoped_returns.source
            and expected.marketplace = scoped_returns.marketplace
            and expected.day = scoped_returns.returned_date

)

select * from final
