-- One row per return and order line that it claims units of, before anybody checks that the line
-- has that many left; a return that finds no line has one row without.

with returns as (

    select * from {{ ref('int_returns_screened') }} where disposition = 'return'

),

order_lines as (

    select * from {{ ref('int_order_lines_screened') }} where disposition = 'order_line'

),

excluded_lines as (

    select
        source,
        order_line_id,
        min(excluded_by) as excluded_by
    from {{ ref('int_order_lines_screened') }}
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

final as (

    select
        returns.source,
        returns.return_id,
        returns.quantity as return_quantity,
        {{ return_moment('returns.returned_at') }} as claimed_at,
        claims.order_line_id as named_line_id,
        order_lines.order_line_id,
        claims.quantity as claimed_quantity,
        claims.match_method,
        order_lines.ordered_at,
        order_lines.quantity as sold_quantity,
        order_lines.net_amount,
        order_lines.fx_rate as line_fx_rate,
        case
            when order_lines.order_line_id is null then excluded_lines.excluded_by
        end as excluded_by,
        {{ reasons({
            'returned_before_sale':
                'cast(returns.returned_at as date) < cast(order_lines.ordered_at as date)',
            'returned_but_never_sold': "order_lines.sale_status <> 'sold'",
            'returned_more_than_sold':
                "order_lines.sale_status = 'sold' and claims.quantity > order_lines.quantity",
        }) }} as reject_reasons
    from returns
    left join claims
        on
            returns.source = claims.source
            and returns.return_id = claims.return_id
    left join order_lines
        on
            claims.source = order_lines.source
            and claims.order_line_id = order_lines.order_line_id
    left join excluded_lines
        on
            claims.source = excluded_lines.source
            and claims.order_line_id = excluded_lines.order_line_id

)

select * from final
