-- Sales on the day of the order, returns on the day of the order they belong to and on the day
-- they were booked: one row per source, day and country with everything that adds up.

with order_lines as (

    select * from {{ ref('order_lines') }} where is_sale

),

orders as (

    select * from {{ ref('orders') }} where is_sale

),

returns as (

    select * from {{ ref('returns') }}

),

parts as (

    select
        source,
        ordered_date as day,
        country,
        0 as orders,
        0 as guest_orders,
        count(*) as order_lines,
        sum(quantity) as units,
        sum(returned_quantity) as returned_units_by_sale_date,
        0 as returned_units_by_event_date,
        sum(net_amount) as gross_revenue,
        sum(case when customer_id is null then net_amount else 0 end) as guest_gross_revenue,
        sum(refund_amount) as refund_amount_by_sale_date,
        0 as refund_amount_by_event_date,
        0 as unmatched_refund_amount,
        0 as excess_refund_amount
    from order_lines
    group by source, ordered_date, country

    union all

    select
        source,
        ordered_date as day,
        country,
        count(*) as orders,
        sum(case when customer_id is null then 1 else 0 end) as guest_orders,
        0 as order_lines,
        0 as units,
        0 as returned_units_by_sale_date,
        0 as returned_units_by_event_date,
        0 as gross_revenue,
        0 as guest_gross_revenue,
        0 as refund_amount_by_sale_date,
        0 as refund_amount_by_event_date,
        0 as unmatched_refund_amount,
        0 as excess_refund_amount
    from orders
    group by source, ordered_date, country

    union all

    select
        source,
        booked_date as day,
        country,
        0 as orders,
        0 as guest_orders,
        0 as order_lines,
        0 as units,
        0 as returned_units_by_sale_date,
        sum(quantity) as returned_units_by_event_date,
        0 as gross_revenue,
        0 as guest_gross_revenue,
        0 as refund_amount_by_sale_date,
        sum(refund_amount + excess_refund_amount) as refund_amount_by_event_date,
        sum(case when order_line_id is null then refund_amount else 0 end)
            as unmatched_refund_amount,
        sum(excess_refund_amount) as excess_refund_amount
    from returns
    group by source, booked_date, country

),

final as (

    select
        source,
        day,
        coalesce(country, 'unknown') as country,
        {%- for column in additive_kpis() %}
        sum({{ column }}) as {{ column }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from parts
    group by source, day, coalesce(country, 'unknown')

)

select * from final
