-- cohort_retention: month 0 is the cohort itself, months add up to customers, none is in the future

with cells as (

    select * from {{ ref('cohort_retention') }}

),

wrong_start as (

    select
        'in month 0 the whole cohort is active' as claim,
        source,
        cast(cohort_month as string) as example
    from cells
    where month_number = 0 and active_customers <> cohort_size

),

beyond_data as (

    select
        'no cell lies beyond the as-of date' as claim,
        source,
        cast(activity_month as string) as example
    from cells
    where activity_month > as_of_date

),

active_by_month as (

    select
        source,
        activity_month,
        sum(active_customers) as active_customers
    from cells
    group by source, activity_month

),

monthly as (

    select * from {{ ref('kpis_monthly') }}

),

unequal_sums as (

    select
        'cohorts add up to the active customers of the month' as claim,
        monthly.source,
        cast(monthly.month as string) as example
    from monthly
    left join active_by_month
        on
            monthly.source = active_by_month.source
            and monthly.month = active_by_month.activity_month
    where monthly.active_customers <> coalesce(active_by_month.active_customers, 0)

)

select * from wrong_start
union all
select * from beyond_data
union all
select * from unequal_sums
