-- Incidents: what went wrong, for whom, when, and by how much. The standing two (flash sale, supply
-- crisis) are dropped in a quiet world; `incidents` more are injected by a fixed rota of kinds.

create or replace table incidents as
with numbered as (
    -- of ten: five sellers, two products, two categories of a marketplace, one marketplace
    select
        number::int as rota_no,
        [
            'seller_fault', 'product_defect', 'seller_fault', 'category_quality', 'seller_fault',
            'seller_fault', 'product_defect', 'seller_fault', 'category_quality',
            'marketplace_delay'
        ][number % 10 + 1] as kind,
        -- starts in the middle three quarters of the data and lasts two to eight weeks
        floor((0.20 + 0.70 * draw('incident start', number)) * getvariable('days'))::int
            as first_day,
        14 + pick('incident length', number, 43)::int as length_days,
        draw('incident size', number) as size,
    from range(getvariable('incidents')) as numbers (number)
),
ranked as (
    select
        *,
        row_number() over (partition by kind order by rota_no) - 1 as kind_rank,
    from numbered
),
seller_choices as (
    -- the half of the sellers that sells most, in random order
    select
        seller_no,
        row_number() over (order by draw('incident seller', seller_no), seller_no) - 1 as choice,
        count(*) over () as choices,
    from (
        select seller_no from product_demand
        group by seller_no
        order by sum(demand::decimal(18, 12)) desc, seller_no
        limit greatest(1, getvariable('sellers') // 2)
    )
),
product_choices as (
    -- the twentieth of the products that sells most, in random order
    select
        product_no,
        row_number() over (order by draw('incident product', product_no), product_no) - 1 as choice,
        count(*) over () as choices,
    from (
        select product_no from product_demand
        order by demand desc, product_no
        limit greatest(1, getvariable('products') // 20)
    )
),
category_choices as (
    select
        marketplace_no,
        category_no,
        row_number() over (order by draw('incident category', marketplace_no * 8 + category_no)) - 1
            as choice,
        count(*) over () as choices,
    from (select distinct marketplace_no, category_no from products)
),
injected as (
    select
        ranked.kind,
        coalesce(
            category_choices.marketplace_no,
            case when kind = 'marketplace_delay'
                then (select list(distinct marketplace_no order by marketplace_no) from sellers)
                    [1 + kind_rank % (select count(distinct marketplace_no) from sellers)]
            end
        ) as marketplace_no,
        category_choices.category_no,
        seller_choices.seller_no,
        product_choices.product_no,
        first_day,
        least(first_day + length_days - 1, getvariable('days') - 1)::int as last_day,
        ln(case kind
            when 'seller_fault' then 2 + 3 * size
            when 'product_defect' then 3 + 3 * size
            when 'category_quality' then 1.4 + 0.6 * size
            else 1.3 + 0.4 * size
        end) as log_odds,
        case when kind = 'marketplace_delay' then 3 + floor(4 * size) else 0 end::int as delay_days,
        rota_no,
    from ranked
    left join seller_choices
        on kind = 'seller_fault' and seller_choices.choice = kind_rank % seller_choices.choices
    left join product_choices
        on kind = 'product_defect' and product_choices.choice = kind_rank % product_choices.choices
    left join category_choices
        on kind = 'category_quality'
        and category_choices.choice = kind_rank % category_choices.choices
),
together as (
    select
        kind,
        case when kind = 'flash_sale' then 2 end::int as marketplace_no,
        null::int as category_no,
        null::int as seller_no,
        null::int as product_no,
        first_day,
        last_day,
        -- the flash sale works through its discount, which is visible on the line
        case when kind = 'flash_sale' then 0 else 0.45 end as log_odds,
        case when kind = 'flash_sale' then 0 else 4 end::int as delay_days,
        -1 as rota_no,
    from standing_incidents
    union all
    select * from injected
)
select
    row_number() over (order by rota_no, first_day)::int as incident_no,
    * exclude (rota_no),
from together
order by incident_no;

-- What they do to the log-odds and deliveries of a day: where no seller or product is named, by
-- marketplace and category (every day has a row for each), else by product.
create or replace macro market_key(day, marketplace_no, category_no) as
    ((day * 4 + marketplace_no) * 8 + category_no)::int;
create or replace macro product_key(day, product_no) as day::bigint * 262144 + product_no;

create or replace table incident_days as
select
    * exclude (first_day, last_day),
    unnest(range(first_day, last_day + 1))::int as day,
from incidents
where log_odds != 0 or delay_days != 0;

create or replace table market_effects as
select
    market_key(calendar.day, marketplaces.marketplace_no, categories.category_no) as market_key,
    coalesce(sum(log_odds::decimal(18, 9)), 0)::double as market_incident_log_odds,
    coalesce(sum(delay_days), 0)::int as market_delay_days,
from calendar
cross join marketplaces
cross join categories
left join incident_days
    on incident_days.day = calendar.day
    and coalesce(incident_days.marketplace_no = marketplaces.marketplace_no, true)
    and coalesce(incident_days.category_no = categories.category_no, true)
    and incident_days.seller_no is null
    and incident_days.product_no is null
group by market_key
order by market_key;

create or replace table product_effects as
select
    product_key(day, products.product_no) as product_key,
    sum(incident_days.log_odds::decimal(18, 9))::double as product_incident_log_odds,
from incident_days
inner join products
    on incident_days.product_no = products.product_no
    or incident_days.seller_no = products.seller_no
group by product_key;
