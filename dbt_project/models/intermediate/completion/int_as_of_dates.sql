-- The days whose knowledge is replayed in every build: the as-of date of each source, the last
-- month-ends and the last Sundays before it. History is computed again, never stored.

with days as (

    select * from {{ ref('int_days') }}

),

described as (

    select
        source,
        as_of_date as last_date,
        day,
        day = as_of_date as is_current,
        {{ month_start(dbt.dateadd('day', 1, 'day')) }} > {{ month_start('day') }} as is_month_end,
        {{ weekday('day') }} = 7 as is_week_end
    from days

),

final as (

    select
        source,
        day as as_of_date,
        is_current,
        is_month_end,
        is_week_end
    from described
    where
        is_current
        or (
            is_month_end
            and {{ month_index('last_date') }} - {{ month_index('day') }}
            <= {{ policy_value('replay_months') }}
        )
        or (
            is_week_end
            and {{ days_between('day', 'last_date') }} < 7 * {{ policy_value('replay_weeks') }}
        )

)

select * from final
