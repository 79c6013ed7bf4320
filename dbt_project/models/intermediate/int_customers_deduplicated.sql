with customers as (

    select * from {{ ref('stg_canonical__customers') }} where reject_reasons is null

),

-- delivered twice: the last file in name order wins
ranked as (

    select
        *,
        row_number() over (
            partition by source, customer_id
            order by file desc, country desc, customer_type desc, created_at desc, row_number
        ) as delivery_rank
    from customers

),

final as (

    select
        source,
        customer_id,
        country,
        customer_type,
        created_at
    from ranked
    where delivery_rank = 1

)

select * from final
