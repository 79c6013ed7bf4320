-- customers: one row per source and customer; customers and guests together are all sales

with duplicated_keys as (

    select
        'one row per source and customer_id' as claim,
        source,
        customer_id as example
    from {{ ref('customers') }}
    group by source, customer_id
    having count(*) > 1

),

customer_sums as (

    select
        source,
        sum(order_count) as order_count,
        sum(net_amount) as net_amount,
        sum(kept_amount) as kept_amount
    from {{ ref('customers') }}
    group by source

),

order_sums as (

    select
        source,
        sum(case when customer_id is not null and is_sale then 1 else 0 end) as known_orders,
        sum(case when customer_id is not null then net_amount else 0 end) as known_net_amount,
        sum(case when customer_id is not null then kept_amount else 0 end) as known_kept_amount
    from {{ ref('orders') }}
    group by source

),

unequal_sums as (

    select
        'customers add up to the orders that are not from guests' as claim,
        order_sums.source,
        cast(order_sums.known_net_amount as string) as example
    from order_sums
    left join customer_sums
        on order_sums.source = customer_sums.source
    where
        order_sums.known_orders <> coalesce(customer_sums.order_count, 0)
        or order_sums.known_net_amount <> coalesce(customer_sums.net_amount, 0)
        or order_sums.known_kept_amount <> coalesce(customer_sums.kept_amount, 0)

)

select * from duplicated_keys
union all
select * from unequal_sums
