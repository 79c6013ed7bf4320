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
    line_no,
    person_no,
    is_guest,
    visible_log_odds,
    not is_cancelled and not is_undelivered as is_shipped,
    line_id,
    case when marketplace_no = 2 and getvariable('return_shape') != 'line' then null
        else line_id
    end as order_line_id,
    order_id,
    customer_id,
    customer_kind,
    product_id,
    seller_id,
    marketplace,
    category,
    size,
    colour,
    country,
    currency,
    ordered_at,
    case when not is_cancelled and not is_undelivered then delivered_at end as delivered_at,
    quantity,
    net_amount,
    net_amount_eur,
    discount_share,
    is_bracketed,
    is_late and not is_cancelled and not is_undelivered as is_late,
    is_cancelled,
    is_undelivered,
    incident_log_odds,
    p_true,
    will_return,
    returned_units,
    first_returned_at,
    last_returned_at,
from named_lines
left join back using (line_no);

create or replace temp view return_part as
select
    return_id,
    line_id,
    marketplace,
    event_no,
    units as quantity,
    refund_amount,
    currency,
    round(refund_amount * eur_rate::decimal(6, 3), 2)::decimal(12, 2) as refund_amount_eur,
    returned_at,
    returned_at < getvariable('data_end') as is_in_data,
from return_events
order by line_no, event_no;

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
where kind is not null and not (row_rank = 0 and kind not in ('spaces_and_case', 'hostile_text'))
union all
select 'returns' as file, kind, return_id as key, row_rank = 0 as is_in_place from returns_rows
where kind is not null and not (row_rank = 0 and kind = 'duplicate_event')
union all
select 'reviews' as file, kind, 'line ' || sort_no as key, true as is_in_place from reviews_rows
where kind is not null;

-- expected returns of shipped lines, with and without what the seller did
insert into seller_parts
select
    seller_no,
    count(*) as lines,
    sum(will_return::int) as returned_lines,
    sum(p_true::decimal(12, 9)) as expected_returns,
    sum(without_seller::decimal(12, 9)) as expected_without_seller,
    sum(without_seller_and_product::decimal(12, 9)) as expected_without_seller_and_product,
from (
    select
        *,
        case when getvariable('noise_labels') or getvariable('no_returns') then p_true else
            logistic(visible_log_odds + hidden_log_odds + incident_log_odds - seller_log_odds)
        end as without_seller,
        case when getvariable('noise_labels') or getvariable('no_returns') then p_true else
            logistic(
                visible_log_odds + hidden_log_odds + incident_log_odds - seller_log_odds - product_log_odds
            )
        end as without_seller_and_product,
    from line_outcomes
    where not is_cancelled and not is_undelivered
)
group by seller_no;

-- what each incident cost: expected returns and refunds beyond those that would have come anyway
insert into incident_parts
with touched as (
    select
        incidents.incident_no,
        line_outcomes.*,
        -- the flash sale acts through its discount, above the usual seven per cent
        case when incidents.kind = 'flash_sale' then 0.90 * (discount_share - 0.07)
            else incidents.log_odds
        end as effect,
    from line_outcomes
    inner join incidents
        on line_outcomes.day between incidents.first_day and incidents.last_day
        and coalesce(incidents.seller_no = line_outcomes.seller_no, true)
        and coalesce(incidents.product_no = line_outcomes.product_no, true)
        and coalesce(incidents.marketplace_no = line_outcomes.marketplace_no, true)
        and coalesce(incidents.category_no = line_outcomes.category_no, true)
    where not is_cancelled and not is_undelivered
),
compared as (
    select
        *,
        case when getvariable('noise_labels') or getvariable('no_returns') then p_true
            else logistic(visible_log_odds + hidden_log_odds + incident_log_odds - effect)
        end as p_without,
    from touched
)
select
    incident_no,
    count(*) as lines,
    sum(p_true::decimal(12, 9)) as expected_returns,
    sum((p_true - p_without)::decimal(12, 9)) as excess_returns,
    sum(((p_true - p_without) * net_amount_eur)::decimal(18, 6)) as excess_refunds_eur,
from compared
group by incident_no;
