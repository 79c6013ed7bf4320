-- Which sale does a return come from that names no order line? Each unit goes to the latest
-- earlier sale with units left (last in, first out). The stack is computed with windows instead
-- of a loop: sales and returns of one key move a balance up and down, never below zero; a sale
-- covers the heights it adds, a return takes the heights it removes, and the sale that covered a
-- height last before the return is the one on top. Only earlier events decide, so nothing that
-- becomes known later changes a match.

with returns as (

    select * from {{ ref('int_returns_resolved') }}

),

order_lines as (

    select *
    from {{ ref('int_order_lines_resolved') }}
    where disposition = 'order_line' and quantity > 0

),

-- the most exact thing that each return names
named_returns as (

    select
        source,
        return_id,
        case
            when order_id is not null and product_id is not null then 'order_product'
            when order_id is not null then 'order'
            else 'customer_product'
        end as match_method,
        coalesce(order_id, customer_id) as key_1,
        case when order_id is not null and product_id is null then '' else product_id end as key_2,
        {{ return_moment('returned_at') }} as event_at,
        quantity,
        refund_amount / quantity as unit_price
    from returns
    where
        disposition = 'return'
        and order_line_id is null
        and (order_id is not null or (customer_id is not null and product_id is not null))

),

named_keys as (

    select distinct
        source,
        match_method,
        key_1,
        key_2
    from named_returns

),

named_sales as (

    select
        order_lines.source,
        named_keys.match_method,
        named_keys.key_1,
        named_keys.key_2,
        order_lines.ordered_at,
        order_lines.quantity,
        order_lines.unit_price,
        order_lines.order_line_id
    from order_lines
    inner join named_keys
        on
            order_lines.source = named_keys.source
            and order_lines.order_id = named_keys.key_1
            and order_lines.product_id = named_keys.key_2
            and named_keys.match_method = 'order_product'

    union all

    select
        order_lines.source,
        named_keys.match_method,
        named_keys.key_1,
        named_keys.key_2,
        order_lines.ordered_at,
        order_lines.quantity,
        order_lines.unit_price,
        order_lines.order_line_id
    from order_lines
    inner join named_keys
        on
            order_lines.source = named_keys.source
            and order_lines.order_id = named_keys.key_1
            and named_keys.match_method = 'order'

    union all

    select
        order_lines.source,
        named_keys.match_method,
        named_keys.key_1,
        named_keys.key_2,
        order_lines.ordered_at,
        order_lines.quantity,
        order_lines.unit_price,
        order_lines.order_line_id
    from order_lines
    inner join named_keys
        on
            order_lines.source = named_keys.source
            and order_lines.customer_id = named_keys.key_1
            and order_lines.product_id = named_keys.key_2
            and named_keys.match_method = 'customer_product'

),

events as (

    select
        source,
        match_method,
        key_1,
        key_2,
        ordered_at as event_at,
        0 as is_return,
        unit_price,
        order_line_id as event_id,
        quantity as move
    from named_sales

    union all

    select
        source,
        match_method,
        key_1,
        key_2,
        event_at,
        1 as is_return,
        unit_price,
        return_id as event_id,
        -quantity as move
    from named_returns

),

-- at one moment sales come before returns, cheaper before dearer: the dearest is on top
walked as (

    select
        *,
        row_number() over (
            partition by source, match_method, key_1, key_2
            order by event_at, is_return, unit_price, event_id
        ) as position,
        sum(move) over (
            partition by source, match_method, key_1, key_2
            order by event_at, is_return, unit_price, event_id
            rows between unbounded preceding and current row
        ) as walk
    from events

),

balanced as (

    select
        *,
        walk - least(0, min(walk) over (
            partition by source, match_method, key_1, key_2
            order by position
            rows between unbounded preceding and current row
        )) as balance
    from walked

),

stacked as (

    select
        *,
        lag(balance, 1, 0) over (
            partition by source, match_method, key_1, key_2 order by position
        ) as balance_before
    from balanced

),

-- each return beside every earlier event of its key, nearest first
looked_back as (

    select
        stack_returns.source,
        stack_returns.match_method,
        stack_returns.event_id as return_id,
        stack_returns.balance as lowest_taken,
        earlier.event_id as order_line_id,
        earlier.is_return as earlier_is_return,
        earlier.position as earlier_position,
        earlier.balance_before as earlier_balance_before,
        min(earlier.balance) over (
            partition by stack_returns.source, stack_returns.match_method, stack_returns.event_id
            order by earlier.position desc
            rows between unbounded preceding and current row
        ) as highest_left
    from stacked as stack_returns
    inner join stacked as earlier
        on
            stack_returns.source = earlier.source
            and stack_returns.match_method = earlier.match_method
            and stack_returns.key_1 = earlier.key_1
            and stack_returns.key_2 = earlier.key_2
            and stack_returns.position > earlier.position
    where stack_returns.is_return = 1 and stack_returns.balance < stack_returns.balance_before

),

final as (

    select
        source,
        return_id,
        match_method,
        order_line_id,
        cast(
            highest_left - greatest(earlier_balance_before, lowest_taken) as bigint
        ) as quantity
    from looked_back
    where
        earlier_is_return = 0
        and highest_left > greatest(earlier_balance_before, lowest_taken)

)

select * from final
