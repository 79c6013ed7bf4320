-- What the goods of each cell of sales cost, where that is known, and what getting them back costs:
-- the parts of policy_return_costs that IFRS 15 B25 names, transport and loss of value. What was
-- spent on the way out, fees and capital are no cost of recovery.

with order_lines as (

    select * from {{ ref('int_order_lines_resolved') }}
    where disposition = 'order_line' and sale_status = 'sold'

),

products as (

    select * from {{ ref('int_products_deduplicated') }} where unit_cost is not null

),

sale_cells as (

    select * from {{ ref('int_sale_cells') }}

),

components as (

    select * from {{ ref('int_return_cost_components') }}
    where component in ('return_label', 'inspection', 'repack', 'markdown', 'disposal')

),

goods as (

    select
        order_lines.source,
        cast(order_lines.ordered_at as date) as ordered_date,
        coalesce(order_lines.marketplace, 'unknown') as marketplace,
        coalesce(order_lines.category, 'unknown') as category,
        coalesce(order_lines.country, 'unknown') as country,
        coalesce(order_lines.original_currency, 'unknown') as original_currency,
        count(*) as line_count,
        sum(order_lines.quantity) as quantity,
        sum(order_lines.net_amount) as net_amount,
        sum(order_lines.quantity * products.unit_cost) as goods_cost
    from order_lines
    inner join products
        on
            order_lines.source = products.source
            and order_lines.product_id = products.product_id
    group by
        order_lines.source,
        cast(order_lines.ordered_at as date),
        coalesce(order_lines.marketplace, 'unknown'),
        coalesce(order_lines.category, 'unknown'),
        coalesce(order_lines.country, 'unknown'),
        coalesce(order_lines.original_currency, 'unknown')

),

-- NULL where a component has no price in the reporting currency
recovery as (

    select
        source,
        marketplace,
        category,
        sum(case when basis = 'per_returned_line' then mid else 0 end) as per_line,
        sum(case when basis = 'per_returned_unit' then mid else 0 end) as per_unit,
        sum(case when basis = 'share_of_refund' then mid else 0 end) as refund_share
    from components
    group by source, marketplace, category
    having count(mid) = 5

),

final as (

    select
        sale_cells.cell_id,
        cast(goods.net_amount as decimal(18, 4)) as net_amount,
        cast(goods.goods_cost as decimal(18, 4)) as goods_cost,
        recovery.source is not null as has_recovery_cost,
        cast(goods.line_count * coalesce(recovery.per_line, 0) as decimal(18, 4))
            as recovery_per_line,
        cast(goods.quantity * coalesce(recovery.per_unit, 0) as decimal(18, 4))
            as recovery_per_unit,
        cast(goods.net_amount * coalesce(recovery.refund_share, 0) as decimal(18, 4))
            as recovery_per_value
    from goods
    inner join sale_cells
        on
            goods.source = sale_cells.source
            and goods.ordered_date = sale_cells.ordered_date
            and goods.marketplace = sale_cells.marketplace
            and goods.category = sale_cells.category
            and goods.country = sale_cells.country
            and goods.original_currency = sale_cells.original_currency
    left join recovery
        on
            goods.source = recovery.source
            and goods.marketplace = recovery.marketplace
            and goods.category = recovery.category

)

select * from final
