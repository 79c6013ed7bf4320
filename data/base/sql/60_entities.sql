-- The exports of customers, products and sellers.

-- customers are born in groups of 32, the first half before the data begin
create or replace temp view group_births as
with placed as (
    select
        number as group_no,
        2 * number / getvariable('customer_groups') - 1 as born_share,
        floor((2 * number / getvariable('customer_groups') - 1) * getvariable('blocks')) as block,
    from range(getvariable('customer_groups')) as numbers (number)
)
select
    group_no,
    coalesce(date, getvariable('first_date') - (1 + floor(-born_share * 540))::int) as created_on,
from placed
left join calendar on block >= block_from and block < block_to;

create or replace temp view customer_dirt as
select
    number as customer_no,
    ['missing_id', 'hostile_text', 'bad_email', 'bad_date'][
        1 + pick('customer dirt kind', number, 4)
    ] as kind,
from range(getvariable('customers')) as numbers (number)
where draw('customer dirt', number) < getvariable('dirt');

create or replace temp view customers_rows as
with named as (
    select
        number as customer_no,
        created_on,
        ['Ada', 'Bruno', 'Chiara', 'Dirk', 'Elif', 'Femke', 'Goran', 'Hana', 'Ines', 'Jan', 'Karin',
            'Luca', 'Maja', 'Noor', 'Oskar', 'Pilar'][1 + pick('first name', number, 16)]
            as first_name,
        ['Abel', 'Bauer', 'Costa', 'Dubois', 'Eriksson', 'Ferrari', 'García', 'Huber', 'Ivanov',
            'Jansen', 'Kowalski', 'Lund', 'Meyer', 'Novak', 'O''Neill', 'Pérez'
        ][1 + pick('last name', number, 16)] as last_name,
        country_wheel.country,
    from range(getvariable('customers')) as numbers (number)
    inner join group_births on group_births.group_no = number // 32
    inner join country_wheel on country_wheel.slot = pick('country', number, 100)
)
select
    case when kind = 'missing_id' then '' else customer_id_text(customer_no) end as customer_id,
    case when kind = 'hostile_text' then hostile_text(customer_no)
        else first_name || ' ' || last_name
    end as name,
    case when kind = 'bad_email' then 'not an address'
        else lower(strip_accents(first_name)) || '.' || customer_no || '@example.com'
    end as email,
    country::varchar as country,
    case when kind = 'bad_date' then 'N/A' else created_on::varchar end as created_at,
    case when keenness(customer_no) > 0.93 then 'vip' else 'regular' end as customer_type,
    customer_no,
from named
left join customer_dirt using (customer_no);

create or replace temp view products_rows as
select
    product_id,
    case when getvariable('dirt') > 0 and product_no % 100 = 7 then hostile_text(product_no)
        else brand || ' ' || category || ' ' || (100 + product_no % 900)
    end as name,
    category,
    brand,
    round(list_price * (0.35 + 0.3 * draw('unit cost', product_no)), 2)::decimal(12, 2)::varchar
        as unit_cost,
    (getvariable('first_date') + launch_day - case when launch_day = 0 then 30 else 0 end)::varchar
        as created_at,
    product_no,
    case when getvariable('dirt') > 0 and product_no % 100 = 7 then 'hostile_text' end as kind,
from products;

create or replace temp view sellers_rows as
select
    seller_id,
    case when getvariable('dirt') > 0 and seller_no % 15 = 5 then hostile_text(seller_no)
        else ['Nord', 'Sud', 'Ost', 'West', 'Alt', 'Neu', 'Ober', 'Unter'][1 + seller_no % 8]
            || ['mode', 'haus', 'markt', 'laden', 'kontor'][1 + seller_no // 8 % 5]
            || ' ' || seller_no
    end as name,
    country_wheel.country::varchar as country,
    (getvariable('first_date') - 30 - pick('seller age', seller_no, 900)::int)::varchar
        as created_at,
    seller_no,
    case when getvariable('dirt') > 0 and seller_no % 15 = 5 then 'hostile_text' end as kind,
from sellers
inner join country_wheel on country_wheel.slot = pick('seller country', seller_no, 100);
