-- Order lines and returns of the canonical format, in euro. What cannot be read is left out.

create temp table sold_lines as
with typed as (
    select
        order_line_id,
        order_id,
        case when lower(customer_id) not in ('0', 'guest') then customer_id end as customer_id,
        product_id,
        category,
        country,
        try_cast(ordered_at as timestamp) as ordered_at,
        try_cast(quantity as integer) as quantity,
        try_cast(quantity as integer) * try_cast(unit_price as decimal(12, 2))
        - try_cast(discount_amount as decimal(12, 2)) as amount,
        currency,
        return_status,
    from order_lines_file
)
select
    order_line_id,
    order_id,
    customer_id,
    product_id,
    category,
    country,
    ordered_at,
    quantity,
    cast(round(amount * coalesce(rate, 1), 4) as decimal(18, 4)) as net_amount,
from typed
left join fx_rates
    on typed.currency = fx_rates.currency
    and fx_rates.reporting_currency = 'EUR'
    and date_trunc('month', typed.ordered_at) = fx_rates.month
where ordered_at is not null
    and quantity > 0
    and amount >= 0
    and product_id not in ('POSTAGE', 'GIFTCARD')
    and order_id not like 'TEST-%'
    and (return_status is null or return_status not in ('cancelled', 'undelivered'));

-- a return names its line, or its order and product, or only its customer and product: then the
-- customer's latest line of that product is taken, whatever its date and units
create temp table booked_returns as
with typed as (
    select
        * replace (
            try_cast(quantity as integer) as quantity,
            try_cast(returned_at as timestamp) as returned_at,
            try_cast(refund_amount as decimal(12, 2)) as refund_amount
        ),
    from returns_file
    where product_id is distinct from 'POSTAGE'
),
lines as (
    select
        *,
        rowid as line,
    from sold_lines
),
found as (
    select
        typed.quantity,
        typed.returned_at,
        typed.refund_amount,
        typed.currency,
        coalesce(by_line.line, by_order.line, by_customer.line) as line,
    from typed
    left join lines as by_line on typed.order_line_id = by_line.order_line_id
    left join (
        select order_id, product_id, max(line) as line from lines group by order_id, product_id
    ) as by_order
        on typed.order_id = by_order.order_id and typed.product_id = by_order.product_id
    left join (
        select customer_id, product_id, max_by(line, ordered_at) as line from lines
        group by customer_id, product_id
    ) as by_customer
        on typed.customer_id = by_customer.customer_id
        and typed.product_id = by_customer.product_id
)
select
    found.line,
    found.returned_at,
    found.quantity,
    lines.product_id,
    lines.category,
    lines.country,
    cast(coalesce(
        found.refund_amount * coalesce(rate, 1),
        lines.net_amount * found.quantity / lines.quantity,
        0
    ) as decimal(18, 4)) as refund_amount,
from found
left join lines using (line)
left join fx_rates
    on found.currency = fx_rates.currency
    and fx_rates.reporting_currency = 'EUR'
    and date_trunc('month', coalesce(lines.ordered_at, found.returned_at)) = fx_rates.month;
