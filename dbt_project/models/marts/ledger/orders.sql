with order_lines as (

    select * from {{ ref('order_lines') }}

),

-- an order belongs to whoever placed its first line; the lines of one order agree in clean data
final as (

    select
        source,
        order_id,
        max(customer_id) as customer_id,
        max(marketplace) as marketplace,
        max(country) as country,
        max(currency) as currency,
        min(ordered_at) as ordered_at,
        cast(min(ordered_at) as date) as ordered_date,
        count(*) as line_count,
        cast(sum(case when is_sale then 1 else 0 end) as bigint) as sold_line_count,
        cast(sum(case when return_class = 'returned' then 1 else 0 end) as bigint)
            as returned_line_count,
        cast(sum(quantity) as bigint) as quantity,
        cast(sum(returned_quantity) as bigint) as returned_quantity,
        cast(sum(ordered_amount) as decimal(18, 4)) as ordered_amount,
        cast(sum(net_amount) as decimal(18, 4)) as net_amount,
        cast(sum(refund_amount) as decimal(18, 4)) as refund_amount,
        cast(sum(excess_refund_amount) as decimal(18, 4)) as excess_refund_amount,
        cast(sum(kept_amount) as decimal(18, 4)) as kept_amount,
        max(case when is_sale then 1 else 0 end) = 1 as is_sale,
        sum(returned_quantity) > 0 as has_return,
        sum(quantity) > 0 and sum(returned_quantity) = sum(quantity) as is_fully_returned,
        sum(returned_quantity) < sum(quantity) as is_kept,
        min(case when is_mature then 1 else 0 end) = 1 as is_mature,
        max(as_of_date) as as_of_date
    from order_lines
    group by source, order_id

)

select * from final
