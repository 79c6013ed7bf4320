with orders as (

    select * from {{ ref('orders') }} where customer_id is not null

),

customer_records as (

    select * from {{ ref('int_customers_deduplicated') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

guest_ids as (

    select * from {{ ref('policy_guest_ids') }}

),

-- only sold orders count; the ids of customers whose every order was cancelled are kept
customer_orders as (

    select
        source,
        customer_id,
        max(country) as country,
        min(case when is_sale then ordered_at end) as first_ordered_at,
        max(case when is_sale then ordered_at end) as last_ordered_at,
        max(case when is_sale and is_kept then ordered_at end) as last_kept_ordered_at,
        sum(case when is_sale then 1 else 0 end) as order_count,
        sum(case when is_sale and is_kept then 1 else 0 end) as kept_order_count,
        sum(sold_line_count) as line_count,
        sum(returned_line_count) as returned_line_count,
        sum(quantity) as quantity,
        sum(returned_quantity) as returned_quantity,
        sum(net_amount) as net_amount,
        sum(refund_amount) as refund_amount,
        sum(kept_amount) as kept_amount
    from orders
    group by source, customer_id

),

customer_ids as (

    select
        source,
        customer_id
    from customer_orders

    union

    select
        customer_records.source,
        customer_records.customer_id
    from customer_records
    left join guest_ids
        on lower(customer_records.customer_id) = guest_ids.guest_id
    where guest_ids.guest_id is null

),

final as (

    select
        customer_ids.source,
        customer_ids.customer_id,
        coalesce(customer_records.country, customer_orders.country) as country,
        customer_records.customer_type,
        customer_records.created_at,
        customer_orders.first_ordered_at,
        customer_orders.last_ordered_at,
        customer_orders.last_kept_ordered_at,
        cast(coalesce(customer_orders.order_count, 0) as bigint) as order_count,
        cast(coalesce(customer_orders.kept_order_count, 0) as bigint) as kept_order_count,
        cast(coalesce(customer_orders.line_count, 0) as bigint) as line_count,
        cast(coalesce(customer_orders.returned_line_count, 0) as bigint) as returned_line_count,
        cast(coalesce(customer_orders.quantity, 0) as bigint) as quantity,
        cast(coalesce(customer_orders.returned_quantity, 0) as bigint) as returned_quantity,
        cast(coalesce(customer_orders.net_amount, 0) as decimal(18, 4)) as net_amount,
        cast(coalesce(customer_orders.refund_amount, 0) as decimal(18, 4)) as refund_amount,
        cast(coalesce(customer_orders.kept_amount, 0) as decimal(18, 4)) as kept_amount,
        sources.as_of_date
    from customer_ids
    left join customer_orders
        on
            customer_ids.source = customer_orders.source
            and customer_ids.customer_id = customer_orders.customer_id
    left join customer_records
        on
            customer_ids.source = customer_records.source
            and customer_ids.customer_id = customer_records.customer_id
    left join sources
        on customer_ids.source = sources.source

)

select * from final
