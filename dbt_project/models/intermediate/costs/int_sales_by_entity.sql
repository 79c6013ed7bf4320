-- What everything, every marketplace, product, customer … sold, and what the goods cost.

with order_lines as (

    select * from {{ ref('order_lines') }} where is_sale

),

products as (

    select * from {{ ref('products') }}

),

-- a margin needs the cost of the goods: lines without one are not part of it
costed as (

    select
        order_lines.source,
        {{ members_of_entities('order_lines') }},
        1 as order_lines,
        order_lines.quantity as units,
        order_lines.net_amount,
        case when products.unit_cost is not null then order_lines.quantity end as margin_units,
        case
            when products.unit_cost is not null then order_lines.net_amount
        end as margin_net_amount,
        cast(order_lines.quantity * products.unit_cost as decimal(18, 4)) as goods_cost
    from order_lines
    left join products
        on
            order_lines.source = products.source
            and order_lines.product_id = products.product_id

),

final as (

    {{ added_up_by_entity(
        'costed',
        counts=['order_lines', 'units', 'margin_units'],
        amounts=['net_amount', 'margin_net_amount', 'goods_cost']
    ) }}

)

select * from final
