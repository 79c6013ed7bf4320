{{ config(materialized='view') }}

with canonical_returns as (

    select * from {{ ref('stg_canonical__returns') }}

),

online_retail_credit_notes as (

    select * from {{ ref('stg_online_retail__lines') }} where row_kind = 'credit_note'

),

unioned as (

    select
        source,
        file,
        row_number,
        'return' as row_kind,
        return_id,
        order_line_id,
        order_id,
        product_id,
        customer_id,
        cast(null as string) as country,
        currency,
        reason,
        condition,
        returned_at,
        quantity,
        refund_amount,
        amount,
        reject_reasons,
        concat_ws('-', 'return', order_line_id, order_id, customer_id, product_id) as document_id
    from canonical_returns

    union all

    -- a credit note names the customer and the product, never the invoice it credits
    select
        source,
        file,
        row_number,
        row_kind,
        cast(null as string) as return_id,
        cast(null as string) as order_line_id,
        cast(null as string) as order_id,
        product_id,
        customer_id,
        country,
        cast(null as string) as currency,
        cast(null as string) as reason,
        cast(null as string) as condition,
        invoiced_at as returned_at,
        -quantity as quantity,
        amount as refund_amount,
        amount,
        reject_reasons,
        concat_ws('-', invoice, product_id) as document_id
    from online_retail_credit_notes

)

select * from unioned
