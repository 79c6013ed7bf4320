with order_lines as (

    select * from {{ ref('int_order_lines_resolved') }} where disposition = 'order_line'

),

returns as (

    select * from {{ ref('int_returns_matched') }}
    where disposition = 'return' and order_line_id is not null

),

line_returns as (

    select
        source,
        order_line_id,
        count(*) as return_count,
        sum(quantity) as returned_quantity,
        sum(refund_amount) as refund_amount,
        sum(excess_refund_amount) as excess_refund_amount,
        min(returned_at) as first_returned_at
    from returns
    group by source, order_line_id

),

joined as (

    select
        order_lines.*,
        coalesce(line_returns.return_count, 0) as return_count,
        coalesce(line_returns.returned_quantity, 0) as returned_quantity,
        coalesce(line_returns.refund_amount, 0) as refund_amount,
        coalesce(line_returns.excess_refund_amount, 0) as excess_refund_amount,
        line_returns.first_returned_at,
        {{ days_between('order_lines.ordered_at', 'line_returns.first_returned_at') }}
            as days_to_return,
        {{ days_between('order_lines.ordered_at', 'order_lines.as_of_date') }} as age_days
    from order_lines
    left join line_returns
        on
            order_lines.source = line_returns.source
            and order_lines.order_line_id = line_returns.order_line_id

),

-- until a completion curve exists, a line is complete at the end of the return window
aged as (

    select
        *,
        age_days >= {{ var('return_window_days') | int }} as is_mature
    from joined

),

classed as (

    select
        *,
        case
            when sale_status in ('cancelled', 'undelivered') then sale_status
            when returned_quantity > 0 then 'returned'
            -- a line that says returned while its return was rejected: nobody knows
            when return_status in ('unknown', 'returned') or not has_returns then 'unknown'
            when is_mature or return_status = 'kept' then 'kept'
            else 'open'
        end as return_class
    from aged

),

final as (

    select
        source,
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
        channel,
        payment_method,
        customer_type,
        currency,
        ordered_at,
        cast(ordered_at as date) as ordered_date,
        promised_at,
        delivered_at,
        cancelled_at,
        cast(ordered_quantity as bigint) as ordered_quantity,
        cast(quantity as bigint) as quantity,
        unit_price,
        discount_amount,
        tax_amount,
        shipping_amount,
        ordered_amount,
        net_amount,
        original_currency,
        original_amount,
        fx_rate,
        sale_status = 'sold' as is_sale,
        cast(return_count as bigint) as return_count,
        cast(returned_quantity as bigint) as returned_quantity,
        cast(refund_amount as decimal(18, 4)) as refund_amount,
        cast(excess_refund_amount as decimal(18, 4)) as excess_refund_amount,
        cast(net_amount - refund_amount as decimal(18, 4)) as kept_amount,
        case
            when return_class = 'returned' then true
            when return_class in ('kept', 'open') then false
        end as is_returned,
        return_class,
        first_returned_at,
        cast(days_to_return as bigint) as days_to_return,
        cast(age_days as bigint) as age_days,
        case when is_mature then cast(1 as double) end as maturity,
        is_mature,
        as_of_date,
        file,
        row_number
    from classed

)

select * from final
