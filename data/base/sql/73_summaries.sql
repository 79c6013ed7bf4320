-- Small truth tables: one row per seller, category, incident; the completion curves; the world.

create or replace temp view true_sellers as
select
    sellers.seller_id,
    marketplaces.marketplace,
    categories.category as main_category,
    sellers.is_at_fault and sellers.log_odds != 0 as is_at_fault,
    round(exp(sellers.log_odds), 6) as odds_multiplier,
    coalesce(sum(lines), 0)::bigint as shipped_lines,
    coalesce(sum(returned_lines), 0)::bigint as returned_lines,
    coalesce(sum(expected_returns), 0)::decimal(18, 9) as expected_returns,
    coalesce(sum(expected_without_seller), 0)::decimal(18, 9) as expected_without_seller,
    coalesce(sum(expected_without_seller_and_product), 0)::decimal(18, 9)
        as expected_without_seller_and_product,
    round((sum(expected_returns) / nullif(sum(expected_without_seller), 0))::double, 9)
        as rate_multiplier,
from sellers
inner join marketplaces using (marketplace_no)
inner join categories on categories.category_no = sellers.main_category_no
left join seller_parts using (seller_no)
group by all
order by sellers.seller_id;

create or replace temp view true_products as
select
    product_id,
    seller_id,
    category,
    list_price,
    round(exp(products.log_odds), 6) as odds_multiplier,
    getvariable('first_date') + launch_day as launched_on,
from products
inner join sellers using (seller_no)
order by product_id;

create or replace temp view true_categories as
select
    category,
    is_sized,
    base_rate,
    delay_shape,
    delay_scale,
    price_median,
from categories
order by category;

-- excess cost: 8 EUR for each return that would not have happened, and a fifth of its refund
create or replace temp view true_incidents as
select
    incidents.incident_no,
    incidents.kind,
    marketplaces.marketplace,
    categories.category,
    sellers.seller_id,
    products.product_id,
    getvariable('first_date') + first_day as starts_on,
    getvariable('first_date') + last_day as ends_on,
    round(exp(incidents.log_odds), 6) as odds_multiplier,
    delay_days,
    coalesce(sum(lines), 0)::bigint as shipped_lines,
    coalesce(sum(expected_returns), 0)::decimal(18, 9) as expected_returns,
    coalesce(sum(excess_returns), 0)::decimal(18, 9) as excess_returns,
    round((sum(expected_returns) / nullif(sum(expected_returns - excess_returns), 0))::double, 9)
        as rate_multiplier,
    coalesce(sum(excess_refunds_eur), 0)::decimal(18, 2) as excess_refunds_eur,
    coalesce(sum(8 * excess_returns + 0.2 * excess_refunds_eur), 0)::decimal(18, 2)
        as excess_cost_eur,
from incidents
left join incident_parts using (incident_no)
left join marketplaces on marketplaces.marketplace_no = incidents.marketplace_no
left join categories on categories.category_no = incidents.category_no
left join sellers on sellers.seller_no = incidents.seller_no
left join products on products.product_no = incidents.product_no
group by all
order by incidents.incident_no;

-- share of a category's returns that begin within so many days of the order (by calendar date;
-- incidents and shifts aside): the delay's distribution, averaged over delivery times
create or replace temp view true_curves as
with deliveries as (
    select
        transit_days + luck + 0.36 + 0.42 * (delivery_hour + 0.5) / 6 as delivered_after,
        sum(slots)::double as weight,
    from countries
    cross join (select unnest([0, 0, 0, 1, 1, 1, 1, 2, 2, 4]) as luck)
    cross join (select unnest(range(6)) as delivery_hour)
    group by delivered_after
),
ages as (
    select
        category,
        unnest(range(100)) as age_days,
        delay_shape,
        delay_scale,
    from categories
)
select
    category,
    age_days::int as age_days,
    round(
        sum(weight * (
            1 - exp(-power(
                greatest(0, age_days + 0.8 - delivered_after) / delay_scale, delay_shape
            ))
        ) order by delivered_after) / sum(weight),
        9
    ) as share_returned,
from ages
cross join deliveries
group by category, age_days
order by category, age_days;

create or replace temp view true_dirt as
select
    file,
    kind,
    key,
    is_in_place,
from (
    select * from dirt_rows
    union all
    select 'customers' as file, kind, customer_id_text(customer_no) as key, true
    from customer_dirt
    union all
    select 'products' as file, kind, product_id as key, true from products_rows
    where kind is not null
    union all
    select 'sellers' as file, kind, seller_id as key, true from sellers_rows
    where kind is not null
)
order by file, kind, key;
