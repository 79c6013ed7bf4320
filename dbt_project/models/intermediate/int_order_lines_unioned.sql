{{ config(materialized='view') }}

with canonical_lines as (

    select * from {{ ref('stg_canonical__order_lines') }}

),

online_retail_lines as (

    select * from {{ ref('stg_online_retail__lines') }} where row_kind <> 'credit_note'

),

unioned as (

    select
        source,
        file,
        row_number,
        'sale' as row_kind,
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
        discount_amount,
        tax_amount,
        shipping_amount,
        amount,
        reject_reasons
    from canonical_lines

    union all

    select
        source,
        file,
        row_number,
        row_kind,
        cast(null as string) as order_line_id,
        invoice as order_id,
        customer_id,
        product_id,
        cast(null as string) as seller_id,
        cast(null as string) as marketplace,
        cast(null as string) as category,
        cast(null as string) as brand,
        cast(null as string) as size,
        cast(null as string) as colour,
        country,
        cast(null as string) as currency,
        cast(null as string) as channel,
        cast(null as string) as payment_method,
        cast(null as string) as customer_type,
        cast(null as string) as return_status,
        invoiced_at as ordered_at,
        cast(null as timestamp) as promised_at,
        cast(null as timestamp) as delivered_at,
        cast(null as timestamp) as cancelled_at,
        quantity,
        unit_price,
        cast(0 as decimal(18, 4)) as discount_amount,
        cast(0 as decimal(18, 4)) as tax_amount,
        cast(0 as decimal(18, 4)) as shipping_amount,
        amount,
        reject_reasons
    from online_retail_lines

)

select * from unioned
