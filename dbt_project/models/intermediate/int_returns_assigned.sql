-- Which sale does a return come from that names no order line? Each unit goes to the latest
-- earlier sale with units left (last in, first out). The stack is computed with windows instead
-- of a loop: sales and returns of one key move a balance up and down, never below zero. A sale
-- covers the heights it adds, a return takes the heights it removes. Cut at every height where
-- some event begins or ends, each slice is covered and taken in turn, so that what a return takes
-- there was covered by the event before. Only earlier events decide: nothing that becomes known
-- later changes a match.

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
        cast(round(refund_amount / quantity, 4) as decimal(18, 4)) as unit_price
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

-- a return that finds nothing left moves nothing
moves as (

    select
        source,
        match_method,
        key_1,
        key_2,
        position,
        is_return,
        event_id,
        least(balance, balance_before) as low,
        greatest(balance, balance_before) as high
    from stacked
    where balance <> balance_before

),

heights as (

    select
        source,
        match_method,
        key_1,
        key_2,
        low as height
    from moves

    union

    select
        source,
        match_method,
        key_1,
        key_2,
        high as height
    from moves

),

slices as (

    select
        *,
        row_number() over (
            partition by source, match_method, key_1, key_2 order by height
        ) as slice,
        lead(height) over (
            partition by source, match_method, key_1, key_2 order by height
        ) - height as units
    from heights

),

sliced_moves as (

    select
        moves.source,
        moves.match_method,
        moves.key_1,
        moves.key_2,
        moves.position,
        moves.is_return,
        moves.event_id,
        {{ each_number('lowest.slice', 'highest.slice') }} as slice
    from moves
    inner join slices as lowest
        on
            moves.source = lowest.source
            and moves.match_method = lowest.match_method
            and moves.key_1 = lowest.key_1
            and moves.key_2 = lowest.key_2
            and moves.low = lowest.height
    inner join slices as highest
        on
            moves.source = highest.source
            and moves.match_method = highest.match_method
            and moves.key_1 = highest.key_1
            and moves.key_2 = highest.key_2
            and moves.high = highest.height

),

taken as (

    select
        *,
        lag(event_id) over (
            partition by source, match_method, key_1, key_2, slice order by position
        ) as order_line_id
    from sliced_moves

),

final as (

    select
        taken.source,
        taken.event_id as return_id,
        taken.match_method,
        taken.order_line_id,
        cast(sum(slices.units) as bigint) as quantity
    from taken
    inner join slices
        on
            taken.source = slices.source
            and taken.match_method = slices.match_method
            and taken.key_1 = slices.key_1
            and taken.key_2 = slices.key_2
            and taken.slice = slices.slice
    where taken.is_return = 1
    group by taken.source, taken.event_id, taken.match_method, taken.order_line_id

)

select * from final
