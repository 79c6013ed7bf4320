-- The triangle of returns, cut along ages: for each replayed day, stratum and age how many returns
-- came at this age (`return_count`), and how many had come at this age or before of the sales that
-- could be watched for so long (`at_risk_count`), both on the last diagonals only. Their ratio is
-- the reversed hazard (chain ladder on daily ages; Lynden-Bell for right-truncated delays): it
-- asks no number of sales, so a return rate that moves does not bend the curve.

with as_of_dates as (

    select * from {{ ref('int_as_of_dates') }}

),

return_cells as (

    select * from {{ ref('int_return_cells') }}

),

-- which stretch of ages does a return count for, seen from each replayed day? It joins when it
-- comes (or when its diagonal enters the window) and leaves at the age its sale has reached by then
seen as (

    select
        return_cells.source,
        as_of_dates.as_of_date,
        return_cells.stratum_1,
        return_cells.stratum_2,
        return_cells.days_to_return,
        return_cells.return_count,
        return_cells.squared_return_count,
        return_cells.days_to_return
        + greatest(
            0,
            {{ days_between('return_cells.returned_date', 'as_of_dates.as_of_date') }}
            - {{ policy_value('completion_window_days') }} + 1
        ) as first_age,
        least(
            {{ days_between('return_cells.ordered_date', 'as_of_dates.as_of_date') }},
            {{ policy_value('completion_max_age_days') }}
        ) as last_age
    from return_cells
    inner join as_of_dates
        on
            return_cells.source = as_of_dates.source
            and return_cells.returned_date <= as_of_dates.as_of_date
    where
        return_cells.days_to_return <= {{ policy_value('completion_max_age_days') }}

),

counted as (

    select
        source,
        as_of_date,
        stratum_1,
        stratum_2,
        days_to_return,
        first_age,
        last_age,
        sum(return_count) as return_count,
        sum(squared_return_count) as squared_return_count
    from seen
    where first_age <= last_age
    group by
        source, as_of_date, stratum_1, stratum_2, days_to_return, first_age, last_age

),

steps as (

    select
        source,
        as_of_date,
        stratum_1,
        stratum_2,
        first_age as age_days,
        case when first_age = days_to_return then return_count else 0 end as return_count,
        case when first_age = days_to_return then squared_return_count else 0 end
            as squared_return_count,
        return_count as step
    from counted

    union all

    select
        source,
        as_of_date,
        stratum_1,
        stratum_2,
        last_age + 1 as age_days,
        0 as return_count,
        0 as squared_return_count,
        -return_count as step
    from counted

),

levels as (

    select 0 as level
    union all
    select level from {{ ref('policy_completion_strata') }}

),

stratum_steps as (

    select
        steps.source,
        steps.as_of_date,
        levels.level,
        case when levels.level >= 1 then steps.stratum_1 else '*' end as stratum_1,
        case when levels.level >= 2 then steps.stratum_2 else '*' end as stratum_2,
        steps.age_days,
        sum(steps.return_count) as return_count,
        sum(steps.squared_return_count) as squared_return_count,
        sum(steps.step) as step
    from steps
    cross join levels
    group by
        steps.source,
        steps.as_of_date,
        levels.level,
        case when levels.level >= 1 then steps.stratum_1 else '*' end,
        case when levels.level >= 2 then steps.stratum_2 else '*' end,
        steps.age_days

),

strata as (

    select
        source,
        as_of_date,
        level,
        stratum_1,
        stratum_2,
        sum(return_count) as stratum_return_count,
        cast(sum(squared_return_count) as double) / sum(return_count) as clump_size
    from stratum_steps
    group by source, as_of_date, level, stratum_1, stratum_2
    having
        sum(return_count) > 0
        -- a smaller stratum is the level above in all but name
        and (level = 0 or sum(return_count) * 4 >= {{ policy_value('completion_pooling_returns') }})

),

ages as (

    select {{ each_number(0, policy_value('completion_max_age_days') ~ ' + 1') }} as age_days

),

final as (

    select
        strata.source,
        strata.as_of_date,
        strata.level,
        strata.stratum_1,
        strata.stratum_2,
        cast(ages.age_days as bigint) as age_days,
        cast(coalesce(stratum_steps.return_count, 0) as bigint) as return_count,
        cast(
            sum(coalesce(stratum_steps.step, 0)) over (
                partition by
                    strata.source,
                    strata.as_of_date,
                    strata.level,
                    strata.stratum_1,
                    strata.stratum_2
                order by ages.age_days
                rows between unbounded preceding and current row
            ) as bigint
        ) as at_risk_count,
        cast(strata.stratum_return_count as bigint) as stratum_return_count,
        strata.clump_size
    from strata
    cross join ages
    left join stratum_steps
        on
            strata.source = stratum_steps.source
            and strata.as_of_date = stratum_steps.as_of_date
            and strata.level = stratum_steps.level
            and strata.stratum_1 = stratum_steps.stratum_1
            and strata.stratum_2 = stratum_steps.stratum_2
            and ages.age_days = stratum_steps.age_days

)

select * from final
