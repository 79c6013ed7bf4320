-- return_features: every order line has one row, and no history is larger than what there is

with order_lines as (

    select * from {{ ref('order_lines') }}

),

return_features as (

    select * from {{ ref('return_features') }}

),

unlike_the_ledger as (

    select
        'not one row per order line' as problem,
        order_lines.source,
        order_lines.order_line_id as example
    from order_lines
    left join return_features
        on
            order_lines.source = return_features.source
            and order_lines.order_line_id = return_features.order_line_id
    group by order_lines.source, order_lines.order_line_id
    having count(*) <> 1 or count(return_features.order_line_id) <> 1

),

stray as (

    select
        'no such order line' as problem,
        return_features.source,
        return_features.order_line_id as example
    from return_features
    left join order_lines
        on
            return_features.source = order_lines.source
            and return_features.order_line_id = order_lines.order_line_id
    where order_lines.order_line_id is null

),

first_days as (

    select
        source,
        min(ordered_date) as first_date
    from order_lines
    group by source

),

known_too_early as (

    select
        'history on the first day' as problem,
        return_features.source,
        return_features.order_line_id as example
    from return_features
    inner join first_days
        on
            return_features.source = first_days.source
            and return_features.ordered_date = first_days.first_date
    where
        return_features.customer_lines_before > 0
        or return_features.product_lines_before > 0
        or return_features.customer_return_rate is not null

),

-- the label tells what the ledger tells
mislabelled as (

    select
        'returned without a day, or a day without a return' as problem,
        return_features.source,
        return_features.order_line_id as example
    from return_features
    inner join order_lines
        on
            return_features.source = order_lines.source
            and return_features.order_line_id = order_lines.order_line_id
    where
        (
            order_lines.first_returned_at is not null
            and cast(order_lines.first_returned_at as date)
            <> coalesce(return_features.label_returned_date, cast('1900-01-01' as date))
        )
        or (
            return_features.label_returned_date is not null and order_lines.returned_quantity = 0
        )

)

select * from unlike_the_ledger
union all
select * from stray
union all
select * from known_too_early
union all
select * from mislabelled
