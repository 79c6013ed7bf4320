-- orders: one row per source and order_id, adding up to the order lines

with duplicated_keys as (

    select
        'one row per source and order_id' as claim,
        source,
        order_id as example
    from {{ ref('orders') }}
    group by source, order_id
    having count(*) > 1

),

order_sums as (

    select
        source,
        sum(line_count) as line_count,
        sum(quantity) as quantity,
        sum(net_amount) as net_amount,
        sum(kept_amount) as kept_amount
    from {{ ref('orders') }}
    group by source

),

line_sums as (

    select
        source,
        count(*) as line_count,
        sum(quantity) as quantity,
        sum(net_amount) as net_amount,
        sum(kept_amount) as kept_amount
    from {{ ref('order_lines') }}
    group by source

),

unequal_sums as (

    select
        'orders add up to order lines' as claim,
        line_sums.source,
        cast(line_sums.net_amount as string) as example
    from line_sums
    left join order_sums
        on line_sums.source = order_sums.source
    where
        line_sums.line_count <> coalesce(order_sums.line_count, 0)
        or line_sums.quantity <> order_sums.quantity
        or line_sums.net_amount <> order_sums.net_amount
        or line_sums.kept_amount <> order_sums.kept_amount

)

select * from duplicated_keys
union all
select * from unequal_sums
