-- Every calendar month and source from the first event to the as-of date. `is_complete` says that
-- the month was over on the as-of date.

with days as (

    select * from {{ ref('int_days') }}

),

months as (

    select distinct
        source,
        as_of_date,
        {{ month_start('day') }} as month_start,
        {{ month_start(dbt.dateadd('month', 1, month_start('day'))) }} as next_month_start
    from days

),

final as (

    select
        source,
        month_start,
        {{ days_between('as_of_date', 'next_month_start') }} <= 1 as is_complete,
        as_of_date
    from months

)

select * from final
