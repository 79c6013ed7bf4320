with orders as (

    select * from {{ ref('orders') }} where is_sale

),

customer_rfm as (

    select * from {{ ref('customer_rfm') }}

),

grouped_orders as (

    select
        orders.*,
        case
            when orders.customer_id is null then 'Guest'
            else coalesce(customer_rfm.rfm_segment, 'No recent order')
        end as customer_group
    from orders
    left join customer_rfm
        on
            orders.source = customer_rfm.source
            and orders.customer_id = customer_rfm.customer_id

),

totals as (

    select
        source,
        customer_group,
        max(currency) as currency,
        count(distinct customer_id) as customers,
        count(*) as orders,
        sum(quantity) as units,
        sum(returned_quantity) as returned_units,
        sum(net_amount) as gross_revenue,
        sum(refund_amount) as refund_amount,
        sum(kept_amount) as net_revenue,
        max(as_of_date) as as_of_date
    from grouped_orders
    group by source, customer_group

),

final as (

    select
        source,
        customer_group,
        currency,
        customers,
        orders,
        cast(units as bigint) as units,
        cast(returned_units as bigint) as returned_units,
        cast(gross_revenue as decimal(18, 4)) as gross_revenue,
        cast(refund_amount as decimal(18, 4)) as refund_amount,
        cast(net_revenue as decimal(18, 4)) as net_revenue,
        cast(net_revenue as double)
        / nullif(sum(net_revenue) over (partition by source), 0) as revenue_share,
        cast(gross_revenue as double) / orders as aov,
        cast(returned_units as double) / units as return_rate,
        as_of_date
    from totals

)

select * from final
