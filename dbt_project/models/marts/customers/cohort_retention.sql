with orders as (

    select * from {{ ref('orders') }} where customer_id is not null and is_sale

),

-- one row per customer and calendar month in which they ordered
customer_months as (

    select
        source,
        customer_id,
        {{ month_start('ordered_date') }} as order_month,
        max(as_of_date) as as_of_date,
        count(*) as order_count,
        max(case when is_kept then 1 else 0 end) as has_kept_order,
        sum(quantity) as quantity,
        sum(returned_quantity) as returned_quantity,
        sum(net_amount) as gross_revenue,
        sum(kept_amount) as net_revenue
    from orders
    group by source, customer_id, {{ month_start('ordered_date') }}

),

cohorts as (

    select
        source,
        customer_id,
        min(order_month) as cohort_month
    from customer_months
    group by source, customer_id

),

cohort_sizes as (

    select
        source,
        cohort_month,
        count(*) as cohort_size
    from cohorts
    group by source, cohort_month

),

activity as (

    select
        cohorts.source,
        cohorts.cohort_month,
        customer_months.order_month,
        count(*) as active_customers,
        sum(customer_months.has_kept_order) as kept_customers,
        sum(customer_months.order_count) as order_count,
        sum(customer_months.quantity) as quantity,
        sum(customer_months.returned_quantity) as returned_quantity,
        sum(customer_months.gross_revenue) as gross_revenue,
        sum(customer_months.net_revenue) as net_revenue
    from cohorts
    inner join customer_months
        on
            cohorts.source = customer_months.source
            and cohorts.customer_id = customer_months.customer_id
    group by cohorts.source, cohorts.cohort_month, customer_months.order_month

),

calendar as (

    select * from {{ ref('int_months') }}

),

-- every month from the cohort's first to the one the data end in, also those without an order
cells as (

    select
        cohort_sizes.source,
        cohort_sizes.cohort_month,
        cohort_sizes.cohort_size,
        calendar.month_start,
        calendar.is_complete,
        calendar.as_of_date,
        {{ month_index('calendar.month_start') }}
        - {{ month_index('cohort_sizes.cohort_month') }} as month_number
    from cohort_sizes
    inner join calendar
        on
            cohort_sizes.source = calendar.source
            and cohort_sizes.cohort_month <= calendar.month_start

),

final as (

    select
        cells.source,
        cells.cohort_month,
        cast(cells.month_number as bigint) as month_number,
        cells.month_start as activity_month,
        cast(cells.cohort_size as bigint) as cohort_size,
        cast(coalesce(activity.active_customers, 0) as bigint) as active_customers,
        cast(coalesce(activity.kept_customers, 0) as bigint) as kept_customers,
        case
            when cells.is_complete
                then cast(coalesce(activity.active_customers, 0) as double) / cells.cohort_size
        end as retention_rate,
        case
            when cells.is_complete
                then cast(coalesce(activity.kept_customers, 0) as double) / cells.cohort_size
        end as kept_retention_rate,
        cast(coalesce(activity.order_count, 0) as bigint) as order_count,
        cast(coalesce(activity.quantity, 0) as bigint) as quantity,
        cast(coalesce(activity.returned_quantity, 0) as bigint) as returned_quantity,
        cast(activity.returned_quantity as double) / activity.quantity as return_rate,
        cast(coalesce(activity.gross_revenue, 0) as decimal(18, 4)) as gross_revenue,
        cast(coalesce(activity.net_revenue, 0) as decimal(18, 4)) as net_revenue,
        cells.is_complete,
        cells.as_of_date
    from cells
    left join activity
        on
            cells.source = activity.source
            and cells.cohort_month = activity.cohort_month
            and cells.month_start = activity.order_month

)

select * from final
