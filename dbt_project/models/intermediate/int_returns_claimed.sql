-- One row per return and order line that it claims units of, before anybody checks that the line
-- has that many left; a return that finds no line has one row without.

with returns as (

    select * from {{ ref('int_returns_resolved') }} where disposition = 'return'

),

order_lines as (

    select * from {{ ref('int_order_lines_resolved') }} where disposition = 'order_line'

),

excluded_lines as (

    select
        source,
        order_line_id,
        min(excluded_by) as excluded_by
    from {{ ref('int_order_lines_resolved') }}
    where disposition = 'excluded' and excluded_by <> 'duplicate_delivery'
    group by source, order_line_id

),

assigned as (

    select * from {{ ref('int_returns_assigned') }}

),

named as (

    select
        source,
        return_id,
        order_line_id,
        quantity,
        case when is_from_status then 'line_status' else 'order_line' end as match_method
    from returns
    where order_line_id is not null

),

claims as (

    select * from named
    union all
    select
        source,
        return_id,
        order_line_id,
        quantity,
        match_method
    from assigned

),

-- the lines that anybody claims, once: everything later works on these few
claimed_lines as (

    select
        claims.source,
        claims.return_id,
        claims.order_line_id,
        order_lines.order_id as line_order_id,
        order_lines.customer_id as line_customer_id,
        order_lines.product_id as line_product_id,
        order_lines.seller_id as line_seller_id,
        order_lines.marketplace as line_marketplace,
        order_lines.category as line_category,
        order_lines.country as line_country,
        order_lines.ordered_at,
        order_lines.sale_status,
        order_lines.quantity as sold_quantity,
        order_lines.net_amount,
        order_lines.original_currency as line_currency,
        order_lines.fx_rate as line_fx_rate
    from order_lines
    inner join claims
        on
            order_lines.source = claims.source
            and order_lines.order_line_id = claims.order_line_id

),

final as (

    select
        returns.source,
        returns.return_id,
        returns.quantity as return_quantity,
        {{ return_moment('returns.returned_at') }} as claimed_at,
        claimed_lines.order_line_id,
        claims.quantity as claimed_quantity,
        claims.match_method,
        {%- for column in [
            'line_order_id', 'line_customer_id', 'line_product_id', 'line_seller_id',
            'line_marketplace', 'line_category', 'line_country', 'line_currency', 'line_fx_rate',
            'ordered_at', 'sold_quantity', 'net_amount',
        ] %}
        claimed_lines.{{ column }},
        {%- endfor %}
        case
            when claimed_lines.order_line_id is null then excluded_lines.excluded_by
        end as excluded_by,
        {{ reasons({
            'returned_before_sale':
                'cast(returns.returned_at as date) < cast(claimed_lines.ordered_at as date)',
            'returned_but_never_sold': "claimed_lines.sale_status <> 'sold'",
            'returned_more_than_sold':
                "claimed_lines.sale_status = 'sold' and claims.quantity > claimed_lines.sold_quantity",
        }) }} as reject_reasons
    from returns
    left join claims
        on
            returns.source = claims.source
            and returns.return_id = claims.return_id
    left join claimed_lines
        on
            claims.source = claimed_lines.source
            and claims.return_id = claimed_lines.return_id
            and claims.order_line_id = claimed_lines.order_line_id
    left join excluded_lines
        on
            claims.source = excluded_lines.source
            and claims.order_line_id = excluded_lines.order_line_id

)

select * from final
