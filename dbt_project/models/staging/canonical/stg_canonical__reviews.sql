with landed as (

    select * from {{ source('canonical', 'canonical__reviews') }}

),

cleaned as (

    select
        source,
        file,
        row_number,
        upper({{ clean_text('order_line_id') }}) as order_line_id,
        upper({{ clean_text('order_id') }}) as order_id,
        upper({{ clean_text('product_id') }}) as product_id,
        upper({{ clean_text('customer_id') }}) as customer_id,
        upper({{ clean_text('seller_id') }}) as seller_id,
        {{ clean_text('rating') }} as rating_text,
        {{ clean_text('reviewed_at') }} as reviewed_at_text
    from landed

),

typed as (

    select
        source,
        file,
        row_number,
        order_line_id,
        order_id,
        product_id,
        customer_id,
        seller_id,
        {{ parse_decimal('rating_text') }} as rating,
        {{ parse_timestamp('reviewed_at_text') }} as reviewed_at,
        {{ reading_errors(
            required=['rating', 'reviewed_at'],
            timestamps=['reviewed_at'],
            numbers=['rating'],
        ) }} as reading_errors
    from cleaned

),

final as (

    select
        source,
        file,
        row_number,
        order_line_id,
        order_id,
        product_id,
        customer_id,
        seller_id,
        rating,
        reviewed_at,
        {{ reasons({
            'names_nothing':
                'order_line_id is null and order_id is null and product_id is null'
                ' and seller_id is null',
            'rating_not_1_to_5': 'rating < 1 or rating > 5',
        }, also='reading_errors') }} as reject_reasons
    from typed

)

select * from final
