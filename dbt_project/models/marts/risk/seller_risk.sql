with assessed as (

    select * from {{ ref('int_risk_assessed') }} where entity_type = 'seller'

),

sellers as (

    select * from {{ ref('sellers') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        assessed.source,
        assessed.entity_id as seller_id,
        assessed.window_days,
        sellers.seller_name,
        {{ risk_columns('assessed', 'sources') }}
    from assessed
    inner join sources
        on assessed.source = sources.source
    left join sellers
        on
            assessed.source = sellers.source
            and assessed.entity_id = sellers.seller_id

)

select * from final
