with returns as (

    select * from {{ ref('int_returns_matched') }} where disposition = 'return'

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
        coalesce(returns.line_order_id, returns.named_order_id) as order_id,
        coalesce(returns.line_customer_id, returns.named_customer_id) as customer_id,
        coalesce(returns.line_product_id, returns.named_product_id) as product_id,
        returns.line_seller_id as seller_id,
        returns.line_marketplace as marketplace,
        coalesce(returns.line_category, products.category) as category,
        coalesce(returns.named_country, returns.line_country) as country,
        sources.reporting_currency as currency,
        returns.ordered_at,
        returns.returned_at,
        cast(returns.returned_at as date) as returned_date,
        cast(
            coalesce(returns.returned_at, returns.ordered_at, sources.as_of_date) as date
        ) as booked_date,
        cast({{ days_between('returns.ordered_at', 'returns.returned_at') }} as bigint)
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
    left join sources
        on returns.source = sources.source
    left join products
        on
            returns.source = products.source
            and returns.named_product_id = products.product_id

)

select * from final
