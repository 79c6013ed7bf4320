with landed as (

    select * from {{ source('canonical', 'canonical__order_lines') }}

),

cleaned as (

    select
        source,
        file,
        row_number,
        upper({{ clean_text('order_line_id') }}) as order_line_id,
        upper({{ clean_text('order_id') }}) as order_id,
        upper({{ clean_text('customer_id') }}) as customer_id,
        upper({{ clean_text('product_id') }}) as product_id,
        upper({{ clean_text('seller_id') }}) as seller_id,
        {{ clean_text('marketplace') }} as marketplace,
        {{ clean_text('category') }} as category,
        {{ clean_text('brand') }} as brand,
        {{ clean_text('size') }} as size,
        {{ clean_text('colour') }} as colour,
        {{ clean_text('country') }} as country,
        {{ clean_text('currency') }} as currency,
        {{ clean_text('channel') }} as channel,
        {{ clean_text('payment_method') }} as payment_method,
        {{ clean_text('customer_type') }} as customer_type,
        {{ clean_text('return_status') }} as return_status,
        {{ clean_text('ordered_at') }} as ordered_at_text,
        {{ clean_text('promised_at') }} as promised_at_text,
        {{ clean_text('delivered_at') }} as delivered_at_text,
        {{ clean_text('cancelled_at') }} as cancelled_at_text,
        {{ clean_text('quantity') }} as quantity_text,
        {{ clean_text('unit_price') }} as unit_price_text,
        {{ clean_text('discount_amount') }} as discount_amount_text,
        {{ clean_text('tax_amount') }} as tax_amount_text,
        {{ clean_text('shipping_amount') }} as shipping_amount_text
    from landed

),

typed as (

    select
        source,
        file,
        row_number,
        order_line_id,
        order_id,
        customer_id,
        product_id,
        seller_id,
        {{ member_name('lower(marketplace)') }} as marketplace,
        {{ member_name('lower(category)') }} as category,
        brand,
        size,
        lower(colour) as colour,
        {{ member_name('country') }} as country,
        upper(currency) as currency,
        lower(channel) as channel,
        lower(payment_method) as payment_method,
        lower(customer_type) as customer_type,
        lower(return_status) as return_status,
        {{ parse_timestamp('ordered_at_text') }} as ordered_at,
        {{ parse_timestamp('promised_at_text') }} as promised_at,
        {{ parse_timestamp('delivered_at_text') }} as delivered_at,
        {{ parse_timestamp('cancelled_at_text') }} as cancelled_at,
        {{ parse_whole_number('quantity_text') }} as quantity,
        {{ parse_decimal('unit_price_text') }} as unit_price,
        unit_price_text,
        {{ parse_decimal('discount_amount_text') }} as discount_amount,
        {{ parse_decimal('tax_amount_text') }} as tax_amount,
        {{ parse_decimal('shipping_amount_text') }} as shipping_amount,
        {{ reading_errors(
            required=['order_id', 'product_id', 'ordered_at', 'quantity', 'unit_price'],
            timestamps=['ordered_at', 'promised_at', 'delivered_at', 'cancelled_at'],
            numbers=['unit_price', 'discount_amount', 'tax_amount', 'shipping_amount'],
            whole_numbers=['quantity'],
        ) }} as reading_errors
    from cleaned

),

-- what a single row can tell; what needs other rows is decided in the intermediate layer
checked as (

    select
        *,
        cast(
            {{ line_value('quantity', 'unit_price', 'unit_price_text') }}
            - coalesce(discount_amount, 0) as decimal(18, 4)
        ) as amount,
        {{ reasons({
            'quantity_not_positive': 'quantity <= 0',
            'unit_price_negative': 'unit_price < 0',
            'discount_negative': 'discount_amount < 0',
            'discount_exceeds_price':
                'quantity > 0 and unit_price >= 0 and amount < 0',
            'amount_too_large':
                'amount is null and quantity is not null and unit_price is not null',
            'return_status_unknown':
                "return_status not in ('returned', 'kept', 'cancelled', 'undelivered', 'unknown')",
        }, also='reading_errors') }} as reject_reasons
    from typed

),

final as (

    select
        source,
        file,
        row_number,
        order_line_id,
        order_id,
        customer_id,
        product_id,
        seller_id,
        marketplace,
        category,
        brand,
        size,
        colour,
        country,
        currency,
        channel,
        payment_method,
        customer_type,
        return_status,
        ordered_at,
        promised_at,
        delivered_at,
        cancelled_at,
        quantity,
        unit_price,
        coalesce(discount_amount, 0) as discount_amount,
        coalesce(tax_amount, 0) as tax_amount,
        coalesce(shipping_amount, 0) as shipping_amount,
        coalesce(amount, 0) as amount,
        reject_reasons
    from checked

)

select * from final
