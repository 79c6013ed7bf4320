with online_retail_lines as (

    select * from {{ ref('stg_online_retail__lines') }}

),

spellings as (

    select
        source,
        product_id,
        description,
        count(*) as row_count
    from online_retail_lines
    where description is not null and row_kind = 'sale'
    group by source, product_id, description

),

-- clerks type notes into descriptions; the most frequent text is the name
ranked as (

    select
        *,
        row_number() over (
            partition by source, product_id order by row_count desc, description
        ) as frequency_rank
    from spellings

),

final as (

    select
        source,
        product_id,
        description
    from ranked
    where frequency_rank = 1

)

select * from final
