-- The export of order lines as text, as known on the last day: nothing that happened later. Rows
-- beside the true ones carry ids of their own, unless they repeat a line.

create or replace temp view order_lines_rows as
with ordered as (
    select * from order_line_rows
    order by line_no, row_rank
),
known as (
    select
        *,
        row_rank = 2 as is_policy,
        -- not null: nearly all rows are nothing special
        coalesce(kind, '') as what,
        case
            when row_rank = 3 then 'TEST-' || padded(line_no, 9)
            when row_rank = 1 and what not in ('duplicate_row', 'conflicting_values')
                then marketplace_prefix(marketplace_no) || '-X' || padded(line_no, 9)
            else order_id_text(marketplace_no, order_no)
        end as shown_order_id,
        case when is_guest
            then ['', '', '', '0', 'guest', 'GUEST'][1 + pick('guest text', order_no, 6)]
            else customer_id_text(customer_no)
        end as shown_customer_id,
        cancelled_at < getvariable('data_end') as is_cancellation_known,
    from ordered
)
select
    case
        when marketplace_no = 2 and getvariable('return_shape') != 'line' then ''
        else shown_order_id || '-' || case
            when row_rank = 0 or what in ('duplicate_row', 'conflicting_values') then line_in_order
            when is_policy then 90
            else 1
        end
    end as order_line_id,
    case when what = 'missing_order_id' then '' else shown_order_id end as order_id,
    case what
        when 'missing_date' then ''
        when 'bad_date' then ['31/31/2025', 'yesterday', '2025-02-30 10:00:00', '45678', 'N/A'][
            1 + pick('dirt text', line_no, 5)]
        when 'future_date' then '2099-12-31 00:00:00'
        when 'epoch_date' then '1970-01-01 00:00:00'
        else ordered_at::varchar
    end as ordered_at,
    case
        when row_rank = 3 then ''
        when what = 'spaces_and_case' then lower(shown_customer_id) || ' '
        else shown_customer_id
    end as customer_id,
    case what
        when 'postage' then 'POSTAGE'
        when 'gift_card' then 'GIFTCARD'
        when 'missing_product_id' then ' '
        when 'spaces_and_case' then ' ' || lower(product_id_text(product_no)) || '  '
        else product_id_text(product_no)
    end as product_id,
    case when is_policy then '' else seller_id_text(seller_no) end as seller_id,
    marketplace_name(marketplace_no) as marketplace,
    case
        when is_policy then ''
        when what = 'spaces_and_case' then upper(category::varchar) || ' '
        else category::varchar
    end as category,
    case
        when is_policy then ''
        when what = 'hostile_text' then hostile_text(line_no)
        else brand::varchar
    end as brand,
    case when is_policy then '' else size::varchar end as size,
    case when is_policy then '' else colour::varchar end as colour,
    country::varchar as country,
    case when what = 'unknown_currency'
        then ['XXX', 'DOGE', 'EURO'][1 + pick('dirt text', line_no, 3)]
        else currency::varchar
    end as currency,
    case
        when is_policy then '1'
        when what = 'conflicting_values' then (quantity + 1)::varchar
        when what = 'zero_quantity' then '0'
        when what = 'bad_quantity' then ['abc', 'N/A', '1,5', '', 'two', '1.5'][
            1 + pick('dirt text', line_no, 6)]
        else quantity::varchar
    end as quantity,
    case what
        when 'postage' then '4.95'
        when 'gift_card' then '50.00'
        when 'bad_price' then [
            replace(unit_price::varchar, '.', ','), '$9', 'abc', '', '1.299,00', 'NaN'
        ][1 + pick('dirt text', line_no, 6)]
        when 'negative_price' then '-' || unit_price
        else unit_price::varchar
    end as unit_price,
    case
        when is_policy then '0.00'
        when what = 'bad_discount' then '12,50'
        else discount_amount::varchar
    end as discount_amount,
    case when is_policy then '0.00'
        else round(net_amount * tax_rate, 2)::decimal(12, 2)::varchar
    end as tax_amount,
    case when not is_policy and line_in_order = 1 and draw('paid shipping', order_no) < 0.45
        then round(4.90 / eur_rate::double, 2)::decimal(12, 2)::varchar else '0.00'
    end as shipping_amount,
    payment_method::varchar as payment_method,
    channel::varchar as channel,
    customer_type::varchar as customer_type,
    promised_at::varchar as promised_at,
    case when delivered_at < getvariable('data_end') and not is_cancelled and not is_undelivered
        then delivered_at::varchar else ''
    end as delivered_at,
    case when is_cancellation_known then cancelled_at::varchar else '' end as cancelled_at,
    case
        when is_cancellation_known then 'cancelled'
        when is_undelivered and days_later(delivered_at, 6) < getvariable('data_end')
            then 'undelivered'
        else ''
    end as return_status,
    row_rank,
    kind,
from known;
