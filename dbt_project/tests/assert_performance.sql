-- product_performance, category_performance and revenue_by_customer_group each cover all sales

with line_sums as (

    select
        source,
        sum(quantity) as units,
        sum(returned_quantity) as returned_units,
        sum(net_amount) as gross_revenue,
        sum(kept_amount) as net_revenue
    from {{ ref('order_lines') }}
    where is_sale
    group by source

),

parts as (

    {%- for mart in ['product_performance', 'category_performance', 'revenue_by_customer_group'] %}

    select
        source,
        '{{ mart }}' as mart,
        sum(units) as units,
        sum(returned_units) as returned_units,
        sum(gross_revenue) as gross_revenue,
        sum(net_revenue) as net_revenue
    from {{ ref(mart) }}
    group by source
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

)

select
    'the parts add up to all sales' as claim,
    line_sums.source,
    parts.mart as example
from line_sums
left join parts
    on line_sums.source = parts.source
where
    line_sums.units <> coalesce(parts.units, 0)
    or line_sums.returned_units <> parts.returned_units
    or line_sums.gross_revenue <> parts.gross_revenue
    or line_sums.net_revenue <> parts.net_revenue
