-- The rows of Online Retail: sales, and credit notes as returns of the customer's latest purchase.

create temp table typed_lines as
select
    columns('^Invoice(No)?$') as order_id,
    upper(StockCode) as product_id,
    nullif(regexp_replace(columns('^Customer ?ID$'), '\.0$', ''), '0') as customer_id,
    Country as country,
    cast(InvoiceDate as timestamp) as ordered_at,
    cast(Quantity as integer) as quantity,
    cast(columns('^(Unit)?Price$') as decimal(18, 4)) as unit_price,
from lines_file;

create temp table sold_lines as
select
    order_id,
    customer_id,
    product_id,
    'unknown' as category,
    country,
    ordered_at,
    quantity,
    cast(quantity * unit_price as decimal(18, 4)) as net_amount,
from typed_lines
where regexp_matches(order_id, '^[0-9]')
    and regexp_matches(product_id, '^([0-9]|DCGS|PADS|SP)')
    and quantity > 0
    and unit_price > 0;

create temp table booked_returns as
with latest as (
    select customer_id, product_id, max_by(rowid, ordered_at) as line from sold_lines
    group by customer_id, product_id
)
select
    line,
    ordered_at as returned_at,
    -quantity as quantity,
    product_id,
    'unknown' as category,
    country,
    cast(-quantity * unit_price as decimal(18, 4)) as refund_amount,
from typed_lines
left join latest using (customer_id, product_id)
where order_id like 'C%' and regexp_matches(product_id, '^([0-9]|DCGS|PADS|SP)') and quantity < 0;
