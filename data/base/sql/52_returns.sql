-- The export of return events. How a return names its sale depends on the marketplace:
-- 1 names the order line, 2 the order and product, 3 only the customer and product.

create or replace temp table returns_rows as
with shaped as (
    select
        *,
        case when getvariable('return_shape') = 'line' then 1 else marketplace_no end as shape,
        draw('return dirt', line_no * 2 + event_no) < getvariable('dirt') as is_dirty,
        ['duplicate_event', 'hostile_text'][1 + pick('return dirt kind', line_no, 2)] as dirt_kind,
    from named_returns
    where returned_at < getvariable('data_end')
),
true_rows as (
    select
        return_id,
        case when shape = 1 then line_id else '' end as order_line_id,
        case when shape = 2 then order_id else '' end as order_id,
        case
            when shape = 1 then ''
            -- an order of one line is sometimes named without its product
            when shape = 2 and order_size = 1 and draw('order only', line_no) < 0.05 then ''
            else product_id
        end as product_id,
        case when shape = 3 then coalesce(customer_id, '') else '' end as customer_id,
        units::varchar as quantity,
        returned_at::varchar as returned_at,
        case
            when draw('no refund', line_no * 2 + event_no) < 0.06 then ''
            else refund_amount::varchar
        end as refund_amount,
        currency::varchar as currency,
        case
            when is_dirty and dirt_kind = 'hostile_text' then hostile_text(line_no)
            when is_bracketed then 'wrong_size'
            when draw('reason', line_no) < 0.1 + 0.3 * greatest(0, seller_log_odds) then 'defective'
            when draw('reason', line_no) < 0.35 and is_late then 'arrived_late'
            when draw('reason', line_no) < 0.45 and len(size::varchar) between 1 and 4 then 'too_small'
            when draw('reason', line_no) < 0.65 and len(size::varchar) between 1 and 4 then 'too_large'
            when draw('reason', line_no) < 0.80 then 'changed_mind'
            when draw('reason', line_no) < 0.93 then 'not_as_described'
            else ''
        end as reason,
        case
            when draw('condition', line_no) < 0.80 then 'new'
            when draw('condition', line_no) < 0.94 then 'opened'
            when draw('condition', line_no) < 0.98 then 'worn'
            else 'damaged'
        end as condition,
        returned_at as sort_at,
        line_no * 2 + event_no as sort_no,
        case when is_dirty then dirt_kind end as kind,
    from shaped
),
duplicates as (
    select * from true_rows
    where kind = 'duplicate_event'
),
made_up as (
    -- events that cannot be true, about lines of marketplace 1 that were kept
    select
        ['before_sale', 'too_many_units', 'orphan', 'missing_key', 'bad_quantity', 'bad_date',
            'zero_quantity', 'future_date', 'orphan_customer', 'epoch_date', 'bad_refund'
        ][1 + pick('made up kind', line_no, 11)] as kind,
        *,
    from named_lines
    where draw('made up return', line_no) < 0.75 * getvariable('dirt')
        and marketplace_no = 1
        and returned_units = 0
        and not is_cancelled
        and not is_undelivered
        and delivered_at < getvariable('data_end') - interval 60 days
        and not getvariable('no_returns')
),
invented as (
    select
        'RX' || lpad(line_no::varchar, 9, '0') as return_id,
        case
            when kind = 'orphan' then 'AG-999999999-1'
            when kind in ('missing_key', 'orphan_customer') then ''
            else line_id
        end as order_line_id,
        '' as order_id,
        case when kind = 'orphan_customer' then 'P999999' else '' end as product_id,
        case when kind = 'orphan_customer' then 'C99999999' else '' end as customer_id,
        case kind
            when 'too_many_units' then (quantity + 5)::varchar
            when 'bad_quantity' then ['abc', '', 'N/A', '1,0'][1 + pick('dirt text', line_no, 4)]
            when 'zero_quantity' then '0'
            else '1'
        end as quantity,
        case kind
            when 'before_sale' then days_later(ordered_at, -5)::varchar
            when 'bad_date' then ['soon', '', '2025-13-01'][1 + pick('dirt text', line_no, 3)]
            when 'future_date' then '2099-12-31 00:00:00'
            when 'epoch_date' then '1970-01-01 00:00:00'
            else days_later(delivered_at, 9)::varchar
        end as returned_at,
        case when kind = 'bad_refund' then '12,50'
            else round(net_amount / quantity, 2)::decimal(12, 2)::varchar
        end as refund_amount,
        currency::varchar as currency,
        'changed_mind' as reason,
        'new' as condition,
        days_later(delivered_at, 9) as sort_at,
        line_no * 2 as sort_no,
        kind,
    from made_up
),
policy_rows as (
    -- postage given back, booked as a return of the product POSTAGE
    select * replace (
        return_id || '-P' as return_id,
        'POSTAGE' as product_id,
        '1' as quantity,
        '4.95' as refund_amount,
        'postage' as kind
    ),
    from true_rows
    where order_id != '' and draw('policy return', sort_no) < getvariable('exclusions')
)
select *, 0 as row_rank from true_rows
union all
select *, 1 as row_rank from duplicates
union all
select *, 2 as row_rank from invented
union all
select *, 3 as row_rank from policy_rows;
