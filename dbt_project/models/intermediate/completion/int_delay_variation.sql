-- By how many days whole weeks of sales are faster or slower in coming back than others, beyond
-- chance: per replayed day, from the weeks whose returns had come by then. Holidays, suppliers and
-- carriers move every return of a week together, so no number of returns averages this out.

with as_of_dates as (

    select * from {{ ref('int_as_of_dates') }}

),

return_cells as (

    select * from {{ ref('int_return_cells') }}
    where days_to_return <= {{ policy_value('completion_max_age_days') }}

),

seen as (

    select
        return_cells.source,
        as_of_dates.as_of_date,
        return_cells.stratum_1,
        {{ week_start('return_cells.ordered_date') }} as sale_week,
        return_cells.days_to_return,
        return_cells.return_count
    from return_cells
    inner join as_of_dates
        on
            return_cells.source = as_of_dates.source
            and return_cells.returned_date <= as_of_dates.as_of_date
            and {{ days_between('return_cells.ordered_date', 'as_of_dates.as_of_date') }}
            between {{ var('return_window_days') | int }}
            and {{ policy_value('completion_window_days') }}

),

weeks as (

    select
        source,
        as_of_date,
        stratum_1,
        sale_week,
        sum(return_count) as return_count,
        sum(return_count * days_to_return) as day_sum,
        sum(return_count * days_to_return * days_to_return) as day_squares
    from seen
    group by source, as_of_date, stratum_1, sale_week

),

-- delays against the mean of the stratum, so that a change of the mix is no change of delay
centred as (

    select
        *,
        cast(sum(day_sum) over (partition by source, as_of_date, stratum_1) as double)
        / sum(return_count) over (partition by source, as_of_date, stratum_1) as mean_days
    from weeks

),

week_means as (

    select
        source,
        as_of_date,
        sale_week,
        sum(return_count) as return_count,
        round(sum(day_sum - return_count * mean_days), 6) / sum(return_count) as mean_deviation,
        round(
            sum(
                day_squares - 2 * mean_days * day_sum + return_count * mean_days * mean_days
            ),
            6
        ) / sum(return_count) as mean_square
    from centred
    group by source, as_of_date, sale_week
    having sum(return_count) >= 5

),

moments as (

    select
        source,
        as_of_date,
        count(*) as week_count,
        round(sum(mean_deviation * mean_deviation), 6)
        - round(sum(mean_deviation), 6) * round(sum(mean_deviation), 6) / count(*) as between_sum,
        round(sum((mean_square - mean_deviation * mean_deviation) / return_count), 6) as chance_sum
    from week_means
    group by source, as_of_date

),

final as (

    select
        source,
        as_of_date,
        cast(week_count as bigint) as week_count,
        case
            when week_count >= 4
                then
                round(
                    sqrt(greatest(0, between_sum / (week_count - 1) - chance_sum / week_count)), 6
                )
            else 0
        end as delay_sd_days
    from moments

)

select * from final
