-- Sellers, products and the wheels that orders draw from.

create or replace table sellers as
with numbered as (
    select number::int as seller_no from range(getvariable('sellers')) as numbers (number)
),
placed as (
    -- seller 0 is the biggest; sizes fall off like a Zipf law
    select
        seller_no,
        seller_id_text(seller_no) as seller_id,
        case when getvariable('sellers') < 3 then 1
            else [1, 2, 3, 1, 2, 1, 2, 1, 3, 2][seller_no % 10 + 1]
        end as marketplace_no,
        power(seller_no + 3, -0.9) as weight,
        pick('seller category', seller_no, 8)::int as main_category_no,
        -- one seller in fourteen (not the biggest three) is at fault: two to three times the odds
        seller_no >= 3 and draw('seller at fault', seller_no) < 0.07 as is_at_fault,
    from numbered
)
select
    *,
    case when getvariable('identical_sellers') or getvariable('noise_labels') then 0.0
        else round(
            0.20 * normal_draw('seller quality', seller_no)
            + case when is_at_fault then ln(2 + draw('seller fault', seller_no)) else 0 end,
            6
        )
    end as log_odds,
from placed
order by seller_no;

create or replace table products as
with numbered as (
    select number::int as product_no from range(getvariable('products')) as numbers (number)
),
owned as (
    -- every seller has at least one product, big sellers have more
    select
        product_no,
        case
            when product_no < getvariable('sellers') then product_no
            else floor(getvariable('sellers') * power(draw('product seller', product_no), 1.7))
        end::int as seller_no,
    from numbered
),
placed as (
    -- three quarters of a seller's products are of its main category
    select
        owned.product_no,
        product_id_text(owned.product_no) as product_id,
        owned.seller_no,
        sellers.marketplace_no,
        case
            when draw('product in main category', owned.product_no) < 0.75
                then sellers.main_category_no
            else pick('product category', owned.product_no, 8)::int
        end as category_no,
        sellers.weight
            * least(60, power(1 - draw('product popularity', owned.product_no), -0.8)) as weight,
    from owned
    inner join sellers using (seller_no)
)
select
    placed.*,
    categories.category,
    ['Alba', 'Borea', 'Cirro', 'Delta & Sons', 'Estrella', 'Fjord', 'Gaia', 'Hoku', 'Ilex', 'Juno',
        'Kestrel', 'Lumen', 'Mistral', 'Nova', 'Onda', 'Petra', 'Quill', 'Rowan', 'Sol', 'Terra'
    ][1 + (placed.category_no * 3 + pick('product brand', product_no, 6)) % 20] as brand,
    round(price_median * exp(price_spread * normal_draw('product price', product_no)), 0) + 0.95
        as list_price,
    -- one product in six is launched while the data run
    case
        when row_number() over (
            partition by marketplace_no, category_no order by weight desc, product_no
        ) = 1 then 0
        when draw('product is new', product_no) < 0.83 then 0
        else pick('product launch', product_no, (0.9 * getvariable('days'))::int)
    end::int as launch_day,
    case when getvariable('identical_sellers') or getvariable('noise_labels') then 0.0
        else round(0.25 * normal_draw('product quality', product_no), 6)
    end as log_odds,
from placed
inner join categories using (category_no)
order by product_no;

-- what a line takes from its product, its seller and its category
create type category_name as enum (select category from categories order by 1);
create type brand_name as enum (select distinct brand from products order by 1);

create or replace table offers as
select
    product_no,
    seller_no,
    products.category::category_name as category,
    brand::brand_name as brand,
    list_price,
    sellers.log_odds as seller_log_odds,
    products.log_odds as product_log_odds,
    ln(base_rate / (1 - base_rate)) + 0.25 * ln(list_price / price_median) as offer_log_odds,
from products
inner join sellers using (seller_no)
inner join categories using (category_no)
order by product_no;
