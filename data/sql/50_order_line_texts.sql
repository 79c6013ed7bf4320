-- Order lines as text, as known on the last day, and which of them meet dirt.
-- Dirt that a reader must reject comes as extra rows, so that the true lines stay whole; harmless
-- dirt (spaces, case, hostile text) is done to true lines in place.

create or replace temp table dirty_lines as
with chosen as (
    select
        line_no,
        marketplace_no,
        pick('dirt kind', line_no, 17) as kind_no,
    from line_outcomes
    where draw('dirt', line_no) < getvariable('dirt')
)
select
    line_no,
    kind_no < 3 as is_in_place,
    case
        -- only a line with its own id can be told from a genuine repeat
        when kind_no in (3, 4) and marketplace_no = 2 and getvariable('return_shape') != 'line'
            then 'bad_quantity'
        else [
            'spaces_and_case', 'hostile_text', 'spaces_and_case', 'duplicate_row',
            'conflicting_values', 'missing_order_id', 'missing_product_id', 'missing_date',
            'bad_date', 'bad_quantity', 'bad_price', 'zero_quantity', 'negative_price',
            'unknown_currency', 'future_date', 'epoch_date', 'bad_discount'
        ][kind_no + 1]
    end as kind,
from chosen;

-- true lines as the exports write them, with the dirt that is to come
create or replace temp view order_line_texts as
with known as (
    -- what the exports of the last day know: nothing that happened later
    select
        *,
        case when marketplace_no = 2 and getvariable('return_shape') != 'line' then ''
            else line_id
        end as order_line_id,
        delivered_at < getvariable('data_end') and not is_cancelled and not is_undelivered
            as is_delivered,
    from named_lines
)
select
    order_line_id,
    order_id,
    ordered_at::varchar as ordered_at,
    coalesce(
        customer_id, ['', '', '', '0', 'guest', 'GUEST'][1 + pick('guest text', order_no, 6)]
    ) as customer_id,
    product_id,
    seller_id,
    marketplace,
    category,
    brand,
    size,
    colour,
    country,
    currency,
    quantity::varchar as quantity,
    unit_price::varchar as unit_price,
    discount_amount::varchar as discount_amount,
    round(net_amount * tax_rate::decimal(4, 2), 2)::decimal(12, 2)::varchar as tax_amount,
    (case when line_in_order = 1 and draw('paid shipping', order_no) < 0.45
        then round(4.90 / eur_rate, 2) else 0 end)::decimal(12, 2)::varchar as shipping_amount,
    payment_method,
    channel,
    customer_type,
    promised_at::varchar as promised_at,
    case when is_delivered then delivered_at::varchar else '' end as delivered_at,
    case when cancelled_at < getvariable('data_end') then cancelled_at::varchar else '' end
        as cancelled_at,
    case
        when cancelled_at < getvariable('data_end') then 'cancelled'
        when is_undelivered and days_later(delivered_at, 6) < getvariable('data_end')
            then 'undelivered'
        else ''
    end as return_status,
    line_no,
    prefix,
    kind,
    is_in_place,
from known
left join dirty_lines using (line_no);
