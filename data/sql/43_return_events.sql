-- Return events: all units at once, or in two parcels; also those after the end of the data.

create or replace temp table return_events as
with parcels as (
    select
        named_lines.*,
        case
            when returned_units = 1 or draw('one parcel', line_no) < 0.7 then returned_units
            else 1 + pick('first parcel', line_no, returned_units - 1)
        end::int as first_units,
        days_later(
            delivered_at,
            0.2 + least(
                90, delay_scale * power(-ln(1 - draw('return delay', line_no)), 1 / delay_shape)
            )
        ) as first_at,
    from named_lines
    inner join categories using (category_no)
    where will_return
),
events as (
    select
        *,
        1 as event_no,
        0 as units_before,
        first_units as units,
        first_at as undelayed_at,
    from parcels
    union all
    select
        *,
        2 as event_no,
        first_units as units_before,
        returned_units - first_units as units,
        days_later(first_at, 1 + 8 * draw('second parcel', line_no)) as undelayed_at,
    from parcels
    where returned_units > first_units
)
select
    * exclude (first_units, first_at, undelayed_at, units_before),
    undelayed_at + case
        when undelayed_at >= getvariable('shift_from') then to_days(getvariable('shift_days'))
        else interval 0 days
    end as returned_at,
    -- cumulative rounding, so that a full return refunds the net amount to the cent
    (round(net_amount * (units_before + units) / quantity, 2)
        - round(net_amount * units_before / quantity, 2))::decimal(12, 2) as refund_amount,
    'R' || line_id || '-' || event_no as return_id,
from events;
