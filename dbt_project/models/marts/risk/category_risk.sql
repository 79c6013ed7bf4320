with assessed as (

    select * from {{ ref('int_risk_assessed') }} where entity_type = 'category'

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        assessed.source,
        assessed.entity_id as category,
        assessed.window_days,
        {{ risk_columns('assessed', 'sources') }}
    from assessed
    inner join sources
        on assessed.source = sources.source

)

select * from final
