-- What the world is like: categories, countries, marketplaces, how orders are built.

create or replace table categories as
select
    *,
    (row_number() over (order by category) - 1)::int as category_no,
from (
    values
    -- shares of demand by marketplace, season (amplitude, peak month), base return rate,
    -- delay from delivery to return in days (Weibull shape, scale), price in EUR (median, spread)
    ('beauty', false, [0.09, 0.12, 0.10], 0.15, 12, 0.045, 1.20, 9.0, 22.0, 0.45),
    ('dresses', true, [0.14, 0.04, 0.24], 0.35, 6, 0.375, 1.25, 8.0, 55.0, 0.45),
    ('electronics', false, [0.12, 0.30, 0.02], 0.20, 12, 0.100, 1.15, 13.0, 110.0, 0.80),
    ('home', false, [0.11, 0.22, 0.04], 0.15, 3, 0.110, 1.15, 12.0, 45.0, 0.60),
    ('shoes', true, [0.18, 0.08, 0.22], 0.15, 9, 0.315, 1.30, 9.0, 75.0, 0.40),
    ('tops', true, [0.17, 0.06, 0.20], 0.15, 7, 0.240, 1.25, 8.5, 28.0, 0.40),
    ('toys', false, [0.07, 0.13, 0.04], 0.50, 12, 0.080, 1.20, 13.5, 26.0, 0.55),
    ('trousers', true, [0.12, 0.05, 0.14], 0.12, 10, 0.300, 1.25, 9.0, 48.0, 0.35)
) as rows (
    category, is_sized, shares, season_amplitude, season_peak, base_rate, delay_shape, delay_scale,
    price_median, price_spread
);

-- every category has at least six sizes or six colours, so that an order of six lines can hold the
-- same product six times without two equal lines
create or replace table variant_lists as
select
    category_no,
    sizes,
    colours,
from (
    values
    ('beauty', ['15 ml', '30 ml', '50 ml', '75 ml', '100 ml', '200 ml'], ['']),
    ('dresses', ['32', '34', '36', '38', '40', '42', '44'],
        ['black', 'red', 'navy', 'green', 'floral']),
    ('electronics', [''], ['black', 'white', 'silver', 'blue', 'graphite', 'gold']),
    ('home', [''], ['white', 'oak', 'grey', 'black', 'sand', 'olive', 'blue']),
    ('shoes', ['36', '37', '38', '39', '40', '41', '42', '43', '44', '45'],
        ['black', 'white', 'brown', 'blue']),
    ('tops', ['XS', 'S', 'M', 'L', 'XL', 'XXL'],
        ['white', 'black', 'grey', 'blue', 'red', 'green']),
    ('toys', [''], ['red', 'blue', 'green', 'yellow', 'pink', 'mixed']),
    ('trousers', ['W28', 'W30', 'W32', 'W34', 'W36', 'W38'], ['blue', 'black', 'beige', 'grey'])
) as rows (category, sizes, colours)
inner join categories using (category);

-- one row per category, order-and-product draw (0 .. 839) and position in the order: lines of the
-- same product in one order always differ in size, or in colour where there are no sizes
create type size_name as enum (select distinct unnest(sizes) from variant_lists order by 1);
create type colour_name as enum (select distinct unnest(colours) from variant_lists order by 1);

create or replace macro variant_key(category_no, variant, line_in_order) as
    ((category_no * 840 + variant) * 6 + line_in_order)::int;

create or replace table variants as
select
    variant_key(category_no, variant, line_in_order) as variant_key,
    sizes[1 + (variant + line_in_order) % len(sizes)]::size_name as size,
    colours[1 + (variant + case when len(sizes) > 1 then 0 else line_in_order end) % len(colours)]
        ::colour_name as colour,
from variant_lists
cross join range(840) as variants (variant)
cross join (select unnest(range(1, 7)) as line_in_order)
order by variant_key;

create or replace table marketplaces as
select * from (
    values (1, 'agora', 0.45), (2, 'bazaar', 0.38), (3, 'corner', 0.17)
) as rows (marketplace_no, marketplace, share);

-- ids as the files show them
create or replace macro marketplace_name(number) as ['agora', 'bazaar', 'corner'][number];
create or replace macro marketplace_prefix(number) as ['AG', 'BZ', 'CO'][number];
create or replace macro order_id_text(marketplace_no, order_no) as
    marketplace_prefix(marketplace_no) || '-' || padded(order_no, 9);
create or replace macro customer_id_text(number) as 'C' || padded(number + 1, 8);
create or replace macro product_id_text(number) as 'P' || padded(number + 1, 6);
create or replace macro seller_id_text(number) as 'S' || padded(number + 1, 5);

-- eur_rate: EUR for one unit of the currency; transit_days: usual days from order to delivery
create or replace table countries as
select
    *,
    sum(slots) over (order by country) - slots as slot_from,
from (
    values
    ('AT', 'EUR', 1.000, 0.20, 6, 2, 0.10, 0.03),
    ('DE', 'EUR', 1.000, 0.19, 30, 2, 0.15, 0.02),
    ('ES', 'EUR', 1.000, 0.21, 8, 4, -0.10, 0.22),
    ('FR', 'EUR', 1.000, 0.20, 13, 3, -0.05, 0.04),
    ('GB', 'GBP', 1.170, 0.20, 13, 3, 0.05, 0.02),
    ('IT', 'EUR', 1.000, 0.22, 7, 4, -0.15, 0.30),
    ('NL', 'EUR', 1.000, 0.21, 8, 2, 0.10, 0.02),
    ('PL', 'PLN', 0.235, 0.23, 6, 3, -0.05, 0.35),
    ('SE', 'SEK', 0.088, 0.25, 4, 3, 0.00, 0.05),
    ('US', 'USD', 0.920, 0.07, 5, 5, -0.10, 0.01)
) as rows (country, currency, eur_rate, tax_rate, slots, transit_days, log_odds, cod_share);

create type country_name as enum (select country from countries order by 1);
create type currency_name as enum (select distinct currency from countries order by 1);

create or replace table country_wheel as
select
    (slot_from + unnest(range(slots)))::int as slot,
    country::country_name as country,
    currency::currency_name as currency,
    eur_rate::decimal(6, 3) as eur_rate,
    tax_rate::decimal(4, 2) as tax_rate,
    transit_days::tinyint as transit_days,
    log_odds,
    cod_share,
from countries;

-- a block of six lines is cut into orders by one of these patterns (20 equal chances)
create or replace table order_patterns as
with patterns as (
    select
        row_number() over (order by rank, copy) - 1 as pattern_no,
        sizes,
    from (
        select
            rank,
            sizes,
            unnest(range(copies)) as copy,
        from (
            values
            (1, 3, [1, 1, 1, 1, 1, 1]), (2, 4, [1, 1, 1, 1, 2]), (3, 3, [1, 1, 2, 2]),
            (4, 3, [1, 1, 1, 3]), (5, 3, [1, 2, 3]), (6, 1, [2, 4]), (7, 1, [1, 1, 4]),
            (8, 1, [1, 5]), (9, 1, [6])
        ) as rows (rank, copies, sizes)
    )
),
orders as (
    select
        pattern_no,
        generate_subscripts(sizes, 1) - 1 as order_in_block,
        unnest(sizes) as order_size,
    from patterns
),
lines as (
    select
        pattern_no,
        order_in_block,
        order_size,
        unnest(range(1, order_size + 1)) as line_in_order,
    from orders
)
select
    pattern_no,
    order_in_block,
    order_size,
    line_in_order,
    row_number() over (partition by pattern_no order by order_in_block, line_in_order) - 1
        as line_in_block,
from lines;

-- what no one sees at checkout: how a customer is disposed to return (1,000 equal chances)
create type kind_name as enum ('careful', 'usual', 'choosy', 'serial');

create or replace table customer_kind_wheel as
select
    (slots_to - unnest(range(1, slots + 1)))::int as slot,
    customer_kind::kind_name as customer_kind,
    log_odds,
from (
    values
    ('careful', -0.50, 260, 260), ('usual', 0.00, 500, 760), ('choosy', 0.50, 233, 993),
    ('serial', 2.00, 7, 1000)
) as rows (customer_kind, log_odds, slots, slots_to);

create type payment_name as enum ('cod', 'card', 'paypal', 'invoice', 'bank_transfer');
create type channel_name as enum ('web', 'app', 'marketplace_partner', 'phone');
create type customer_type_name as enum ('guest', 'vip', 'new', 'returning');
