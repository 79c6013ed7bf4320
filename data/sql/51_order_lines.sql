-- The export of order lines: true rows, dirty rows, and rows that every export has.

create or replace temp view order_lines_rows as
with true_rows as (
    select * replace (
        case when kind = 'spaces_and_case' then ' ' || lower(product_id) || '  ' else product_id end
            as product_id,
        case when kind = 'spaces_and_case' then lower(customer_id) || ' ' else customer_id end
            as customer_id,
        case when kind = 'spaces_and_case' then upper(category) || ' ' else category end
            as category,
        case when kind = 'hostile_text' then hostile_text(line_no) else brand end as brand
    ),
    from order_line_texts
),
extra_rows as (
    select * replace (
        case when kind in ('duplicate_row', 'conflicting_values') or order_line_id = ''
            then order_line_id
            else prefix || '-X' || lpad(line_no::varchar, 9, '0') || '-1'
        end as order_line_id,
        case
            when kind in ('duplicate_row', 'conflicting_values') then order_id
            when kind = 'missing_order_id' then ''
            else prefix || '-X' || lpad(line_no::varchar, 9, '0')
        end as order_id,
        case when kind = 'missing_product_id' then ' ' else product_id end as product_id,
        case kind
            when 'missing_date' then ''
            when 'bad_date' then ['31/31/2025', 'yesterday', '2025-02-30 10:00:00', '45678', 'N/A'][
                1 + pick('dirt text', line_no, 5)]
            when 'future_date' then '2099-12-31 00:00:00'
            when 'epoch_date' then '1970-01-01 00:00:00'
            else ordered_at
        end as ordered_at,
        case kind
            when 'conflicting_values' then (quantity::int + 1)::varchar
            when 'zero_quantity' then '0'
            when 'bad_quantity' then ['abc', 'N/A', '1,5', '', 'two', '1.5'][
                1 + pick('dirt text', line_no, 6)]
            else quantity
        end as quantity,
        case kind
            when 'bad_price' then [
                replace(unit_price, '.', ','), '$9', 'abc', '', '1.299,00', 'NaN'
            ][1 + pick('dirt text', line_no, 6)]
            when 'negative_price' then '-' || unit_price
            else unit_price
        end as unit_price,
        case when kind = 'bad_discount' then '12,50' else discount_amount end as discount_amount,
        case when kind = 'unknown_currency'
            then ['XXX', 'DOGE', 'EURO'][1 + pick('dirt text', line_no, 3)]
            else currency
        end as currency
    ),
    from order_line_texts
    where not is_in_place
),
policy_rows as (
    -- rows that every export has and no analysis wants: postage and gift cards booked as products
    select * replace (
        case when order_line_id = '' then '' else order_id || '-90' end as order_line_id,
        case when draw('extra', line_no) < 0.5 then 'POSTAGE' else 'GIFTCARD' end as product_id,
        '' as seller_id, '' as category, '' as brand, '' as size, '' as colour,
        '1' as quantity,
        case when draw('extra', line_no) < 0.5 then '4.95' else '50.00' end as unit_price,
        '0.00' as discount_amount, '0.00' as tax_amount, '0.00' as shipping_amount,
        case when draw('extra', line_no) < 0.5 then 'postage' else 'gift_card' end as kind
    ),
    from order_line_texts
    where draw('policy row', line_no) < getvariable('exclusions')
),
test_rows as (
    -- and orders with which someone tried the shop
    select * replace (
        case when order_line_id = '' then ''
            else 'TEST-' || lpad(line_no::varchar, 9, '0') || '-1'
        end as order_line_id,
        'TEST-' || lpad(line_no::varchar, 9, '0') as order_id,
        '' as customer_id,
        'test_order' as kind
    ),
    from order_line_texts
    where draw('test row', line_no) < getvariable('exclusions') / 4
)
select *, 0 as row_rank from true_rows
union all
select *, 1 as row_rank from extra_rows
union all
select *, 2 as row_rank from policy_rows
union all
select *, 3 as row_rank from test_rows;
