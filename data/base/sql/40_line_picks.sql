-- Who buys what, where and when: one row per line of the current chunk.

create or replace temp table chunk_blocks as
select
    day::smallint as day,
    month::tinyint as month,
    is_flash_sale,
    unnest(range(block_from, block_to)) as block,
from calendar
where chunk = getvariable('chunk');

create or replace temp table line_picks as
with lines as (
    select
        chunk_blocks.*,
        block * 6 + line_in_block as line_no,
        block * 6 + order_in_block as order_no,
        line_in_order::tinyint as line_in_order,
        order_size::tinyint as order_size,
    from chunk_blocks
    inner join order_patterns on order_patterns.pattern_no = pick('order pattern', block, 20)
    where block * 6 + line_in_block < getvariable('lines')
),
orders as (
    select
        * exclude (block),
        marketplace_key(is_flash_sale, pick('marketplace', order_no, 1000)) as marketplace_key,
        draw('guest', order_no) < 0.14 as is_guest,
        -- one multi-line order in seven takes the same product in two or three sizes
        order_size >= 2 and draw('bracketing', order_no) < 0.15 as has_bracket,
        case when order_size >= 3 and draw('bracket size', order_no) < 0.3 then 3 else 2
        end::tinyint as bracket_size,
        -- customers are numbered in order of birth, half of them born before the data begin, and
        -- live for an exponential time: the lag is the age of the customer who orders now
        0.5 + 0.5 * block / getvariable('blocks') as born,
        -0.2 * ln(1 - draw('customer age', order_no) * (1 - exp(-5 * born))) as age,
        (floor((born - age) * getvariable('customer_groups')) * 32)::bigint as group_start,
        greatest(1, ceil(32 * exp(-5 * age)))::int as alive,
    from lines
),
candidates as (
    -- of three customers alive in a group of contemporaries the keenest one orders
    select
        * exclude (born, group_start, alive),
        greatest(
            keenness_key(group_start + pick('customer a', order_no, alive)),
            keenness_key(group_start + pick('customer b', order_no, alive)),
            keenness_key(group_start + pick('customer c', order_no, alive))
        ) as keenest,
    from orders
),
people as (
    select
        * exclude (keenest),
        case when is_guest then null else keenest % 4294967296 end::bigint as customer_no,
        -- a guest is someone new each time
        case when is_guest then 4000000000 + order_no else keenest % 4294967296 end::bigint
            as person_no,
        has_bracket and line_in_order <= bracket_size as is_bracketed,
        case when has_bracket and line_in_order <= bracket_size then line_no - line_in_order + 1
            else line_no
        end as choice_no,
    from candidates
),
placed as (
    select
        people.*,
        marketplace_no,
        category_key(month, is_bracketed, marketplace_no, pick('category', choice_no, 400))
            as category_key,
    from people
    inner join marketplace_wheel using (marketplace_key)
),
categorised as (
    select
        placed.*,
        category_no,
        first_slot + pick('product', choice_no, product_slots)::int as product_slot,
    from placed
    inner join category_wheel using (category_key)
)
select
    categorised.* exclude (marketplace_key, category_key, product_slot, has_bracket, choice_no),
    case when day >= launch_day then product_no else older_product_no end as product_no,
from categorised
inner join product_wheel using (product_slot);
