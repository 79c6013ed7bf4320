with landed as (

    select * from {{ source('canonical', 'canonical__products') }}

),

cleaned as (

    select
        source,
        file,
        row_number,
        upper({{ clean_text('product_id') }}) as product_id,
        {{ clean_text('name') }} as name,
        {{ clean_text('category') }} as category,
        {{ clean_text('brand') }} as brand,
        {{ clean_text('unit_cost') }} as unit_cost_text,
        {{ clean_text('created_at') }} as created_at_text
    from landed

),

final as (

    select
        source,
        file,
        row_number,
        product_id,
        name as product_name,
        {{ member_name('lower(category)') }} as category,
        brand,
        {{ parse_decimal('unit_cost_text') }} as unit_cost,
        {{ parse_timestamp('created_at_text') }} as created_at,
        {{ reading_errors(
            required=['product_id'],
            timestamps=['created_at'],
            numbers=['unit_cost'],
        ) }} as reject_reasons
    from cleaned

)

select * from final
