with landed as (

    select * from {{ source('canonical', 'canonical__sellers') }}

),

final as (

    select
        source,
        file,
        row_number,
        {{ clean_text('seller_id') }} as seller_id,
        {{ clean_text('name') }} as seller_name,
        {{ clean_text('country') }} as country,
        {{ parse_timestamp('created_at') }} as created_at,
        {{ reading_errors(required=['seller_id'], timestamps=['created_at']) }} as reject_reasons
    from landed

)

select * from final
