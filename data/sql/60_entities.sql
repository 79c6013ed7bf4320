-- The exports of customers, products and sellers.

create or replace temp view customer_rows as
with born as (
    select
        number as customer_no,
        draw('customer dirt', number) < getvariable('dirt') as is_dirty,
        pick('customer dirt kind', number, 4) as kind_no,
        -- position in the line of births: the second half is born while the data run
        2 * (number // 32 * 32) / (32.0 * getvariable('customer_groups')) - 1 as born_share,
    from range(getvariable('customers')) as numbers (number)
),
dated as (
    select
        born.*,
        -- a customer opens the account some time before the first order
        case
            when born_share <= 0
                then getvariable('first_date') - (1 + floor(-born_share * 540))::int
            else date
        end as created_on,
    from born
    left join calendar
        on born_share > 0
        and floor(born_share * getvariable('blocks')) >= block_from
        and floor(born_share * getvariable('blocks')) < block_to
),
named as (
    select
        dated.*,
        ['Ada', 'Bruno', 'Chiara', 'Dirk', 'Elif', 'Femke', 'Goran', 'Hana', 'Ines', 'Jan', 'Karin',
            'Luca', 'Maja', 'Noor', 'Oskar', 'Pilar'][1 + pick('first name', customer_no, 16)]
            as first_name,
        ['Abel', 'Bauer', 'Costa', 'Dubois', 'Eriksson', 'Ferrari', 'García', 'Huber', 'Ivanov',
            'Jansen', 'Kowalski', 'Lund', 'Meyer', 'Novak', 'O''Neill', 'Pérez'
        ][1 + pick('last name', customer_no, 16)] as last_name,
        country_wheel.country,
    from dated
    inner join country_wheel on country_wheel.slot = pick('country', customer_no, 100)
)
select
    case when is_dirty and kind_no = 0 then '' else 'C' || lpad((customer_no + 1)::varchar, 8, '0') end
        as customer_id,
    case when is_dirty and kind_no = 1 then hostile_text(customer_no)
        else first_name || ' ' || last_name
    end as name,
    case when is_dirty and kind_no = 2 then 'not an address'
        else lower(strip_accents(first_name)) || '.' || customer_no || '@example.com'
    end as email,
    country,
    case when is_dirty and kind_no = 3 then 'N/A' else created_on::varchar end as created_at,
    case when keenness(customer_no) > 0.93 then 'vip' else 'regular' end as customer_type,
    customer_no,
    case when is_dirty then ['missing_id', 'hostile_text', 'bad_email', 'bad_date'][1 + kind_no] end
        as kind,
from named;

create or replace temp view product_rows as
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

create or replace temp view seller_rows as
select
    seller_id,
    case when getvariable('dirt') > 0 and seller_no % 15 = 5 then hostile_text(seller_no)
        else ['Nord', 'Sud', 'Ost', 'West', 'Alt', 'Neu', 'Ober', 'Unter'][1 + seller_no % 8]
            || ['mode', 'haus', 'markt', 'laden', 'kontor'][1 + seller_no // 8 % 5] || ' ' || seller_no
    end as name,
    country_wheel.country,
    (getvariable('first_date') - 30 - pick('seller age', seller_no, 900)::int)::varchar as created_at,
    seller_no,
    case when getvariable('dirt') > 0 and seller_no % 15 = 5 then 'hostile_text' end as kind,
from sellers
inner join country_wheel on country_wheel.slot = pick('seller country', seller_no, 100);
