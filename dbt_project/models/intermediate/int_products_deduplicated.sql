with products as (

    select * from {{ ref('stg_canonical__products') }} where reject_reasons is null

),

-- delivered twice: the last file in name order wins
ranked as (

    select
        *,
        row_number() over (
            partition by source, product_id
            order by
                file desc,
                product_name desc,
                category desc,
                brand desc,
                unit_cost desc,
                created_at desc,
                row_number
        ) as delivery_rank
    from products

),

final as (

    select
        source,
        product_id,
        product_name,
        category,
        brand,
        unit_cost,
        created_at
    from ranked
    where delivery_rank = 1

)

select * from final
