with order_lines as (

    select * from {{ ref('order_lines') }}

),

product_records as (

    select * from {{ ref('int_products_deduplicated') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

sold_products as (

    select
        source,
        product_id,
        max(category) as category,
        max(brand) as brand,
        min(ordered_at) as first_ordered_at,
        max(ordered_at) as last_ordered_at
    from order_lines
    group by source, product_id

),

descriptions as (

    select * from {{ ref('int_products_described') }}

),

product_ids as (

    select
        source,
        product_id
    from sold_products

    union

    select
        source,
        product_id
    from product_records

),

final as (

    select
        product_ids.source,
        product_ids.product_id,
        coalesce(product_records.product_name, descriptions.description) as product_name,
        coalesce(product_records.category, sold_products.category) as category,
        coalesce(product_records.brand, sold_products.brand) as brand,
        product_records.unit_cost,
        product_records.created_at,
        sold_products.first_ordered_at,
        sold_products.last_ordered_at,
        sources.as_of_date
    from product_ids
    left join sold_products
        on
            product_ids.source = sold_products.source
            and product_ids.product_id = sold_products.product_id
    left join product_records
        on
            product_ids.source = product_records.source
            and product_ids.product_id = product_records.product_id
    left join descriptions
        on
            product_ids.source = descriptions.source
            and product_ids.product_id = descriptions.product_id
    left join sources
        on product_ids.source = sources.source

)

select * from final
