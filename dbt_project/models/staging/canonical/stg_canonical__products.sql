with landed as (

    select * from {{ source('canonical', 'canonical__products') }}

),

final as (

    select
        source,
        file,
        row_number,
        {{ clean_text('product_id') }} as product_id,
        {{ clean_text('name') }} as product_name,
        lower({{ clean_text('category') }}) as category,
        {{ clean_text('brand') }} as brand,
        {{ parse_decimal('unit_cost') }} as unit_cost,
        {{ parse_timestamp('created_at') }} as created_at,
        {{ reading_errors(
            required=['product_id'],
            timestamps=['created_at'],
            numbers=['unit_cost'],
        ) }} as reject_reasons
    from landed

)

select * from final
