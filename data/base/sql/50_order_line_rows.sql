-- Rows that the export of order lines adds to the true lines, or changes in place. Dirt that a
-- reader must reject comes as extra rows, so that the true lines stay whole; harmless dirt (spaces,
-- case, hostile text) is done to true lines in place.

create or replace temp table special_rows as
with chosen as (
    select
        line_no,
        marketplace_no,
        draw('dirt', line_no) < getvariable('dirt') as is_dirty,
        draw('policy row', line_no) < getvariable('exclusions') as has_policy_row,
        draw('test row', line_no) < getvariable('exclusions') / 4 as has_test_row,
        pick('dirt kind', line_no, 17) as kind_no,
    from line_outcomes
)
select
    line_no,
    (kind_no >= 3)::tinyint as row_rank,
    case
        -- only a line with its own id can be told from a genuine repeat
        when kind_no in (3, 4) and marketplace_no = 2 and getvariable('return_shape') != 'line'
            then 'bad_quantity'
        else [
            'spaces_and_case', 'hostile_text', 'spaces_and_case', 'duplicate_row',
            'conflicting_values', 'missing_order_id', 'missing_product_id', 'missing_date',
            'bad_date', 'bad_quantity', 'bad_price', 'zero_quantity', 'negative_price',
            'unknown_currency', 'future_date', 'epoch_date', 'bad_discount'
        ][kind_no + 1]
    end as kind,
from chosen
where is_dirty
union all
-- rows that every export has and no analysis wants: postage and gift cards booked as products
select
    line_no,
    2 as row_rank,
    case when draw('extra', line_no) < 0.5 then 'postage' else 'gift_card' end as kind,
from chosen
where has_policy_row
union all
-- and orders with which someone tried the shop
select
    line_no,
    3 as row_rank,
    'test_order' as kind,
from chosen
where has_test_row;

-- every row of the export, still as numbers: these are put in order, not the texts
create or replace temp view order_line_rows as
with true_rows as (
    select
        line_outcomes.*,
        0::tinyint as row_rank,
        kind,
    from line_outcomes
    left join (select line_no, kind from special_rows where row_rank = 0) as dirt using (line_no)
),
special as (
    select
        line_outcomes.*,
        row_rank,
        kind,
    from line_outcomes
    inner join special_rows using (line_no)
)
select * from true_rows
union all
select * from special
where row_rank > 0;
