with sellers as (

    select * from {{ ref('stg_canonical__sellers') }} where reject_reasons is null

),

-- delivered twice: the last file in name order wins
ranked as (

    select
        *,
        row_number() over (
            partition by source, seller_id
            order by file desc, seller_name desc, country desc, created_at desc, row_number
        ) as delivery_rank
    from sellers

),

final as (

    select
        source,
        seller_id,
        seller_name,
        country,
        created_at
    from ranked
    where delivery_rank = 1

)

select * from final
