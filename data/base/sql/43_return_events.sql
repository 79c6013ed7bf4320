-- Return events: all units at once, or in two parcels; also those after the end of the data.

create or replace temp table return_events as
with parcels as (
    select
        line_outcomes.* exclude (category, brand, colour, country, payment_method, channel),
        case
            when returned_units = 1 or draw('one parcel', line_no) < 0.7 then returned_units
            else 1 + pick('first parcel', line_no, returned_units - 1)
        end::tinyint as first_units,
        days_later(
            delivered_at,
            0.2 + least(
                90, delay_scale * power(-ln(1 - draw('return delay', line_no)), 1 / delay_shape)
            )
        ) as first_at,
    from line_outcomes
    inner join categories using (category_no)
    where will_return
),
events as (
    select
        *,
        1::tinyint as event_no,
        0::tinyint as units_before,
        first_units as units,
        first_at as undelayed_at,
    from parcels
    union all
    select
        *,
        2::tinyint as event_no,
        first_units as units_before,
        (returned_units - first_units)::tinyint as units,
        days_later(first_at, 1 + 8 * draw('second parcel', line_no)) as undelayed_at,
    from parcels
    where returned_units > first_units
)
select
    line_no,
    event_no,
    marketplace_no,
    order_no,
    line_in_order,
    order_size,
    product_no,
    customer_no,
    is_bracketed,
    is_late,
    size,
    currency,
    eur_rate,
    seller_log_odds,
    units,
    undelayed_at + case
        when undelayed_at >= getvariable('shift_from') then to_days(getvariable('shift_days'))
        else interval 0 days
    end as returned_at,
    -- cumulative rounding, so that a full return refunds the net amount to the cent
    (round(net_amount * (units_before + units) / quantity, 2)
        - round(net_amount * units_before / quantity, 2))::decimal(12, 2) as refund_amount,
from events;

-- the same with the ids that the files show
create or replace temp view named_returns as
select
    *,
    marketplace_name(marketplace_no) as marketplace,
    order_id_text(marketplace_no, order_no) as order_id,
    order_id || '-' || line_in_order as line_id,
    'R' || line_id || '-' || event_no as return_id,
    customer_id_text(customer_no) as customer_id,
    product_id_text(product_no) as product_id,
from return_events;
