with landed as (

    select * from {{ source('canonical', 'canonical__returns') }}

),

cleaned as (

    select
        source,
        file,
        row_number,
        upper({{ clean_text('return_id') }}) as return_id,
        upper({{ clean_text('order_line_id') }}) as order_line_id,
        upper({{ clean_text('order_id') }}) as order_id,
        upper({{ clean_text('product_id') }}) as product_id,
        upper({{ clean_text('customer_id') }}) as customer_id,
        {{ clean_text('currency') }} as currency,
        {{ clean_text('reason') }} as reason,
        {{ clean_text('condition') }} as condition,
        {{ clean_text('returned_at') }} as returned_at_text,
        {{ clean_text('quantity') }} as quantity_text,
        {{ clean_text('refund_amount') }} as refund_amount_text
    from landed

),

typed as (

    select
        source,
        file,
        row_number,
        return_id,
        order_line_id,
        order_id,
        product_id,
        customer_id,
        upper(currency) as currency,
        reason,
        condition,
        {{ parse_timestamp('returned_at_text') }} as returned_at,
        {{ parse_whole_number('quantity_text') }} as quantity,
        {{ parse_decimal('refund_amount_text') }} as refund_amount,
        {{ reading_errors(
            required=['quantity'],
            timestamps=['returned_at'],
            numbers=['refund_amount'],
            whole_numbers=['quantity'],
        ) }} as reading_errors
    from cleaned

),

final as (

    select
        source,
        file,
        row_number,
        return_id,
        order_line_id,
        order_id,
        product_id,
        customer_id,
        currency,
        reason,
        condition,
        returned_at,
        quantity,
        refund_amount,
        cast(coalesce(refund_amount, 0) as decimal(18, 4)) as amount,
        {{ reasons({
            'names_no_sale': 'order_line_id is null and order_id is null and product_id is null',
            'quantity_not_positive': 'quantity <= 0',
            'refund_amount_negative': 'refund_amount < 0',
        }, also='reading_errors') }} as reject_reasons
    from typed

)

select * from final
