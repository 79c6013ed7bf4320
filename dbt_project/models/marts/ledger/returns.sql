with returns as (

    select * from {{ ref('int_returns_matched') }} where disposition = 'return'

),

order_lines as (

    select * from {{ ref('int_order_lines_screened') }} where disposition = 'order_line'

),

sources as (

    select * from {{ ref('int_sources') }}

),

products as (

    select * from {{ ref('int_products_deduplicated') }}

),

final as (

    select
        returns.source,
        returns.return_id,
        returns.allocation_number,
        returns.order_line_id,
        coalesce(order_lines.order_id, returns.named_order_id) as order_id,
        coalesce(order_lines.customer_id, returns.named_customer_id) as customer_id,
        coalesce(order_lines.product_id, returns.named_product_id) as product_id,
        order_lines.seller_id,
        order_lines.marketplace,
        coalesce(order_lines.category, products.category) as category,
        coalesce(returns.named_country, order_lines.country) as country,
        sources.reporting_currency as currency,
        order_lines.ordered_at,
        returns.returned_at,
        cast(returns.returned_at as date) as returned_date,
        cast(
            coalesce(returns.returned_at, order_lines.ordered_at, sources.as_of_date) as date
        ) as booked_date,
        cast({{ days_between('order_lines.ordered_at', 'returns.returned_at') }} as bigint)
            as days_to_return,
        returns.quantity,
        returns.refund_amount,
        returns.excess_refund_amount,
        returns.original_refund_amount,
        returns.refund_basis,
        returns.reason,
        returns.condition,
        returns.match_method,
        returns.unmatched_reason,
        sources.as_of_date,
        returns.file,
        returns.row_number
    from returns
    left join order_lines
        on
            returns.source = order_lines.source
            and returns.order_line_id = order_lines.order_line_id
    left join sources
        on returns.source = sources.source
    left join products
        on
            returns.source = products.source
            and returns.named_product_id = products.product_id

)

select * from final
