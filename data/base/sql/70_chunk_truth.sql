-- What only the generator knows about the current chunk; no model may read it.

create or replace temp view line_part as
with back as (
    select
        line_no,
        min(returned_at) as first_returned_at,
        max(returned_at) as last_returned_at,
    from return_events
    group by line_no
)
select
    line_outcomes.* exclude (
        order_size, day, category_no, tax_rate, discount_amount, promised_at, cancelled_at, brand,
        payment_method, channel, customer_type, seller_log_odds, product_log_odds, hidden_log_odds
    ),
    not is_cancelled and not is_undelivered as is_shipped,
    first_returned_at,
    last_returned_at,
from line_outcomes
left join back using (line_no);

create or replace temp view return_part as
select
    return_id,
    line_id,
    marketplace,
    event_no::int as event_no,
    units::int as quantity,
    refund_amount,
    currency::varchar as currency,
    round(refund_amount * eur_rate, 2)::decimal(12, 2) as refund_amount_eur,
    returned_at,
    returned_at < getvariable('data_end') as is_in_data,
from (select * from named_returns order by line_no, event_no);

-- each injected row: where, what kind, and the key it carries in the file
insert into dirt_rows
select
    'order_lines' as file,
    kind,
    case when product_id in ('POSTAGE', 'GIFTCARD') then order_id || ' ' || product_id
        when order_line_id = '' then order_id || ' ' || product_id
        else order_line_id
    end as key,
    row_rank = 0 as is_in_place,
from order_lines_rows
where kind is not null
union all
select 'returns' as file, kind, return_id as key, row_rank = 0 as is_in_place from returns_rows
where kind is not null and not (row_rank = 0 and kind = 'duplicate_event')
union all
select 'reviews' as file, kind, 'line ' || sort_no as key, true as is_in_place from reviews_rows
where kind is not null;
