with assessed as (

    select * from {{ ref('int_risk_assessed') }} where entity_type = 'product'

),

products as (

    select * from {{ ref('products') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        assessed.source,
        assessed.entity_id as product_id,
        assessed.window_days,
        products.product_name,
        {{ risk_columns('assessed', 'sources') }}
    from assessed
    inner join sources
        on assessed.source = sources.source
    left join products
        on
            assessed.source = products.source
            and assessed.entity_id = products.product_id

)

select * from final
