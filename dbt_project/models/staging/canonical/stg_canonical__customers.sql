with landed as (

    select * from {{ source('canonical', 'canonical__customers') }}

),

final as (

    select
        source,
        file,
        row_number,
        {{ clean_text('customer_id') }} as customer_id,
        {{ clean_text('country') }} as country,
        lower({{ clean_text('customer_type') }}) as customer_type,
        {{ parse_timestamp('created_at') }} as created_at,
        {{ reading_errors(required=['customer_id'], timestamps=['created_at']) }} as reject_reasons
    from landed

)

select * from final
