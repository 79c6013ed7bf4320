-- Wheels: a random slot number finds a marketplace, a category or a product by an ordinary join.

-- Keys are single numbers without gaps, which makes such a join a look-up in an array.

create or replace macro marketplace_key(is_flash_sale, slot) as
    (is_flash_sale::int * 1000 + slot)::int;

create or replace table marketplace_wheel as
with weighted as (
    select
        is_flash_sale,
        marketplace_no,
        share * case when is_flash_sale and marketplace_no = 2 then 2.5 else 1 end as weight,
    from marketplaces
    cross join (values (false), (true)) as flash (is_flash_sale)
    where marketplace_no in (select marketplace_no from sellers)
),
summed as (
    select
        *,
        round(1000 * sum(weight) over running / sum(weight) over (partition by is_flash_sale))::int
            as slot_to,
    from weighted
    window running as (partition by is_flash_sale order by marketplace_no)
)
select
    marketplace_no::tinyint as marketplace_no,
    marketplace_key(is_flash_sale, unnest(range(
        lag(slot_to, 1, 0) over (partition by is_flash_sale order by marketplace_no), slot_to
    ))) as marketplace_key,
from summed;

-- product slots, a stretch for each marketplace and category; a product not yet launched is replaced by an older one
create or replace table product_wheel as
with sized as (
    select
        *,
        1 + floor(getvariable('wheel_slots') * weight / sum(weight) over ())::int as slots,
        last_value(case when launch_day = 0 then product_no end ignore nulls) over (
            partition by marketplace_no, category_no order by weight desc, product_no
        ) as older_product_no,
    from (select * replace (round(weight * 1e9)::hugeint as weight) from products)
),
turned as (
    select
        *,
        unnest(range(slots)) as copy,
    from sized
)
select
    marketplace_no,
    category_no,
    (row_number() over (
        order by marketplace_no, category_no, weight desc, product_no, copy
    ) - 1)::int as product_slot,
    product_no,
    launch_day,
    older_product_no,
from turned;

create or replace macro category_key(month, is_bracketed, marketplace_no, slot) as
    (((month * 2 + is_bracketed::int) * 4 + marketplace_no) * 400 + slot)::int;

-- category slots by month and marketplace; orders of several sizes draw from sized categories only
create or replace table category_wheel as
with offered as (
    select
        marketplace_no,
        category_no,
        min(product_slot) as first_slot,
        count(*)::int as product_slots,
    from product_wheel
    group by marketplace_no, category_no
),
weighted as (
    select
        month,
        is_bracketed,
        marketplace_no,
        category_no,
        first_slot,
        product_slots,
        shares[marketplace_no]
        * (1 + case when getvariable('stationary') then 0 else season_amplitude end
            * cos(2 * pi() * (month - season_peak) / 12)) as weight,
    from offered
    inner join categories using (category_no)
    cross join (select unnest(range(1, 13))::int as month)
    cross join (values (false), (true)) as brackets (is_bracketed)
    where is_sized or not is_bracketed
),
summed as (
    select
        *,
        round(400 * sum(weight) over running / sum(weight) over whole)::int as slot_to,
    from weighted
    window
        running as (partition by month, is_bracketed, marketplace_no order by category_no),
        whole as (partition by month, is_bracketed, marketplace_no)
)
select
    is_bracketed,
    marketplace_no,
    category_no::tinyint as category_no,
    first_slot,
    product_slots,
    category_key(
        month,
        is_bracketed,
        marketplace_no,
        unnest(range(
            lag(slot_to, 1, 0) over (
                partition by month, is_bracketed, marketplace_no order by category_no
            ),
            slot_to
        ))
    ) as category_key,
from summed;

-- the share of all lines that each product can expect
create or replace table product_demand as
with category_shares as (
    select
        marketplace_no,
        category_no,
        min(product_slots) as product_slots,
        count(*) / 4800.0 as share_of_marketplace,
    from category_wheel
    where not is_bracketed
    group by marketplace_no, category_no
)
select
    product_wheel.product_no,
    products.seller_no,
    round(
        count(*) * min(share_of_marketplace) * min(marketplaces.share) / min(product_slots), 12
    ) as demand,
from product_wheel
inner join category_shares using (marketplace_no, category_no)
inner join marketplaces using (marketplace_no)
inner join products using (product_no)
where product_wheel.launch_day = 0
group by product_wheel.product_no, products.seller_no;
