with landed as (

    select * from {{ source('online_retail', 'online_retail__lines') }}

),

cleaned as (

    select
        source,
        file,
        row_number,
        {{ clean_text('invoice') }} as invoice,
        {{ clean_text('stock_code') }} as stock_code,
        {{ clean_text('description') }} as description,
        {{ clean_text('customer_id') }} as customer_id,
        {{ clean_text('country') }} as country,
        {{ clean_text('invoice_date') }} as invoice_date_text,
        {{ clean_text('quantity') }} as quantity_text,
        {{ clean_text('price') }} as price_text
    from landed

),

typed as (

    select
        source,
        file,
        row_number,
        upper(invoice) as invoice,
        -- some codes differ only by case: 85123a and 85123A are one product
        upper(stock_code) as product_id,
        nullif(description, 'nan') as description,
        customer_id as customer_id_text,
        country,
        coalesce(
            {{ parse_timestamp('invoice_date_text') }},
            {{ parse_us_timestamp('invoice_date_text') }}
        ) as invoice_date,
        {{ parse_whole_number('quantity_text') }} as quantity,
        {{ parse_decimal('price_text') }} as price,
        price_text,
        {{ reading_errors(
            required=['invoice', 'stock_code', 'invoice_date', 'quantity', 'price'],
            timestamps=['invoice_date'],
            numbers=['price'],
            whole_numbers=['quantity'],
        ) }} as reading_errors
    from cleaned

),

-- what the invoice number and the sign of the quantity say about the row
classified as (

    select
        *,
        case
            when invoice like 'C%' then 'credit_note'
            when invoice like 'A%' then 'adjustment'
            when quantity < 0 then 'stock_movement'
            when price = 0 then 'zero_price'
            else 'sale'
        end as row_kind,
        -- spreadsheets write whole customer numbers as 13085.0
        case
            when customer_id_text like '%.0'
                then substr(customer_id_text, 1, length(customer_id_text) - 2)
            else customer_id_text
        end as customer_id
    from typed

),

-- what was sold, or on a credit note what was given back: positive in both
valued as (

    select
        *,
        case
            when row_kind = 'credit_note' then {{ line_value('-quantity', 'price', 'price_text') }}
            else {{ line_value('quantity', 'price', 'price_text') }}
        end as amount
    from classified

),

final as (

    select
        source,
        file,
        row_number,
        row_kind,
        invoice,
        product_id,
        description,
        customer_id,
        country,
        invoice_date as invoiced_at,
        quantity,
        price as unit_price,
        coalesce(amount, 0) as amount,
        {{ reasons({
            'quantity_not_negative_on_credit_note': "row_kind = 'credit_note' and quantity >= 0",
            'quantity_zero': "row_kind <> 'credit_note' and quantity = 0",
            'amount_too_large': 'amount is null and quantity is not null and price is not null',
            'price_negative': "row_kind in ('sale', 'credit_note') and price < 0",
        }, also='reading_errors') }} as reject_reasons
    from valued

)

select * from final
