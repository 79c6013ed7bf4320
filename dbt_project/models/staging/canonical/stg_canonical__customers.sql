with landed as (

    select * from {{ source('canonical', 'canonical__customers') }}

),

cleaned as (

    select
        source,
        file,
        row_number,
        upper({{ clean_text('customer_id') }}) as customer_id,
        {{ clean_text('country') }} as country,
        {{ clean_text('customer_type') }} as customer_type,
        {{ clean_text('created_at') }} as created_at_text
    from landed

),

final as (

    select
        source,
        file,
        row_number,
        customer_id,
        {{ member_name('country') }} as country,
        lower(customer_type) as customer_type,
        {{ parse_timestamp('created_at_text') }} as created_at,
        {{ reading_errors(required=['customer_id'], timestamps=['created_at']) }} as reject_reasons
    from cleaned

)

select * from final
