-- How many days the sales of each day took to be delivered, as far as the source says.

with order_lines as (

    select * from {{ ref('int_order_lines_resolved') }}
    where disposition = 'order_line' and sale_status = 'sold'

),

final as (

    select
        source,
        coalesce(marketplace, 'unknown') as marketplace,
        cast(ordered_at as date) as ordered_date,
        {{ days_between('ordered_at', 'delivered_at') }} as delivery_days,
        count(*) as line_count
    from order_lines
    where delivered_at >= ordered_at
    group by
        source,
        coalesce(marketplace, 'unknown'),
        cast(ordered_at as date),
        {{ days_between('ordered_at', 'delivered_at') }}

)

select * from final
