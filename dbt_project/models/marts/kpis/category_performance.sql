with order_lines as (

    select * from {{ ref('order_lines') }} where is_sale

),

returns as (

    select * from {{ ref('returns') }} where order_line_id is null

),

sales as (

    select
        source,
        coalesce(category, 'unknown') as category,
        max(as_of_date) as as_of_date,
        {{ sales_measures() }}
    from order_lines
    group by source, coalesce(category, 'unknown')

),

unmatched as (

    select
        source,
        coalesce(category, 'unknown') as category,
        max(as_of_date) as as_of_date,
        sum(quantity) as unmatched_returned_units,
        sum(refund_amount) as unmatched_refund_amount
    from returns
    group by source, coalesce(category, 'unknown')

),

categories as (

    select
        source,
        category,
        as_of_date
    from sales

    union

    select
        source,
        category,
        as_of_date
    from unmatched

),

joined as (

    select
        sales.*,
        categories.source as category_source,
        categories.category as id,
        categories.as_of_date as category_as_of_date,
        unmatched.unmatched_returned_units,
        unmatched.unmatched_refund_amount
    from categories
    left join sales
        on
            categories.source = sales.source
            and categories.category = sales.category
    left join unmatched
        on
            categories.source = unmatched.source
            and categories.category = unmatched.category

),

final as (

    select
        category_source as source,
        id as category,
        {{ performance_columns() }},
        category_as_of_date as as_of_date
    from joined

)

select * from final
