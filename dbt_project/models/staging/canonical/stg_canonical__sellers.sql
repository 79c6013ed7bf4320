with landed as (

    select * from {{ source('canonical', 'canonical__sellers') }}

),

cleaned as (

    select
        source,
        file,
        row_number,
        upper({{ clean_text('seller_id') }}) as seller_id,
        {{ clean_text('name') }} as name,
        {{ clean_text('country') }} as country,
        {{ clean_text('created_at') }} as created_at_text
    from landed

),

final as (

    select
        source,
        file,
        row_number,
        seller_id,
        name as seller_name,
        country,
        {{ parse_timestamp('created_at_text') }} as created_at,
        {{ reading_errors(required=['seller_id'], timestamps=['created_at']) }} as reject_reasons
    from cleaned

)

select * from final
