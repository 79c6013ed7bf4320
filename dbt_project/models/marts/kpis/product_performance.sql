with order_lines as (

    select * from {{ ref('order_lines') }} where is_sale

),

returns as (

    select * from {{ ref('returns') }} where product_id is not null

),

products as (

    select * from {{ ref('products') }}

),

sales as (

    select
        source,
        product_id,
        {{ sales_measures() }}
    from order_lines
    group by source, product_id

),

unmatched as (

    select
        source,
        product_id,
        sum(quantity) as unmatched_returned_units,
        sum(refund_amount) as unmatched_refund_amount
    from returns
    where order_line_id is null
    group by source, product_id

),

joined as (

    select
        sales.*,
        products.source as product_source,
        products.product_id as id,
        products.product_name,
        products.category,
        products.as_of_date,
        unmatched.unmatched_returned_units,
        unmatched.unmatched_refund_amount
    from products
    left join sales
        on
            products.source = sales.source
            and products.product_id = sales.product_id
    left join unmatched
        on
            products.source = unmatched.source
            and products.product_id = unmatched.product_id

),

final as (

    select
        product_source as source,
        id as product_id,
        product_name,
        category,
        {{ performance_columns() }},
        as_of_date
    from joined

)

select * from final
