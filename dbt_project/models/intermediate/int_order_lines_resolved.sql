{{ config(materialized='view') }}

-- The screened lines after repeated deliveries are told apart: the final word on every row.

with screened as (

    select * from {{ ref('int_order_lines_screened') }}

),

repeated_rows as (

    select * from {{ ref('int_order_lines_repeated') }}

),

final as (

    select
        screened.source,
        screened.file,
        screened.row_number,
        case
            when repeated_rows.is_repeat then 'excluded'
            when repeated_rows.is_conflict then 'rejected'
            else screened.disposition
        end as disposition,
        case
            when repeated_rows.is_repeat then 'duplicate_delivery' else screened.excluded_by
        end as excluded_by,
        case
            when repeated_rows.is_conflict then 'superseded_by_later_delivery'
            else screened.reject_reasons
        end as reject_reasons,
        case
            when screened.has_id then screened.row_key
            else screened.row_key || '-' || cast(coalesce(repeated_rows.occurrence, 1) as string)
        end as order_line_id,
        {%- for column in [
            'order_id', 'customer_id', 'product_id', 'seller_id', 'marketplace', 'category',
            'brand', 'size', 'colour', 'country', 'channel', 'payment_method', 'customer_type',
            'return_status', 'sale_status', 'ordered_at', 'promised_at', 'delivered_at',
            'cancelled_at', 'ordered_quantity', 'quantity', 'original_currency', 'currency',
            'fx_rate', 'original_amount', 'unit_price', 'discount_amount', 'tax_amount',
            'shipping_amount', 'ordered_amount', 'net_amount', 'has_returns', 'as_of_date',
        ] %}
        screened.{{ column }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from screened
    left join repeated_rows
        on
            screened.source = repeated_rows.source
            and screened.file = repeated_rows.file
            and screened.row_number = repeated_rows.row_number

)

select * from final
