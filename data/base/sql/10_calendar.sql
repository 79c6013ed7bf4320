-- One row per day: how busy it is, and which six-line blocks of the line sequence belong to it.
-- Lines are numbered in time order, so a day is a range of blocks and a chunk is a range of days.

create or replace table standing_incidents as
with placed as (
    -- a flash sale of one week and a supply crisis of three, both starting on a Monday
    select
        'flash_sale' as kind,
        date_trunc('week', first_date + floor(0.40 * days)::int)::date as starts_on,
        7 as length_days,
    from (select getvariable('first_date') as first_date, getvariable('days') as days)
    union all
    select
        'supply_crisis' as kind,
        date_trunc('week', first_date + floor(0.75 * days)::int)::date as starts_on,
        21 as length_days,
    from (select getvariable('first_date') as first_date, getvariable('days') as days)
)
select
    kind,
    (starts_on - getvariable('first_date'))::int as first_day,
    (starts_on - getvariable('first_date'))::int + length_days - 1 as last_day,
from placed
-- a world shorter than four months has no room for a calm period before and after
where not getvariable('quiet') and getvariable('days') >= 120;

create or replace table calendar as
with all_days as (
    select
        number::int as day,
        (getvariable('first_date') + number::int)::date as date,
    from range(getvariable('days')) as numbers (number)
),
marked as (
    select
        day,
        date,
        month(date)::int as month,
        exists (
            select 1 from standing_incidents
            where kind = 'flash_sale' and all_days.day between first_day and last_day
        ) as is_flash_sale,
        -- weekly season (busy Sundays), yearly season (peak in early December), growth of 40 % a
        -- year, and a little noise
        case when getvariable('stationary') then 1.0 else
            [1.05, 0.99, 0.96, 0.97, 0.95, 0.92, 1.16][isodow(date)]
            * (1 + 0.16 * cos(2 * pi() * (dayofyear(date) - 338) / 365.25))
            * power(1.4, day / 365.25)
            * (0.97 + 0.06 * draw('day noise', day))
        end as usual_weight,
    from all_days
),
weighted as (
    -- the flash sale multiplies the orders of marketplace 2 (38 % of all) by 2.5
    select
        *,
        usual_weight * case when is_flash_sale then 1 + 0.38 * 1.5 else 1.0 end as weight,
    from marked
),
summed as (
    select
        *,
        sum(weight) over (order by day) / sum(weight) over () as share_to_date,
    from weighted
),
blocked as (
    select
        *,
        case
            when day = getvariable('days') - 1 then getvariable('blocks')
            else round(share_to_date * getvariable('blocks'))::bigint
        end as block_to,
    from summed
)
select
    day,
    date,
    month,
    is_flash_sale,
    lag(block_to, 1, 0) over (order by day) as block_from,
    block_to,
    (lag(block_to, 1, 0) over (order by day) * 6 // getvariable('chunk_lines'))::int as chunk,
from blocked
order by day;
