-- What of everything, every marketplace, product, customer … came back, and what that cost.

{% set costs = ['return_cost_low', 'return_cost_mid', 'return_cost_high'] %}
{% for component in return_cost_components() %}
{% do costs.append(component ~ '_cost') %}
{% endfor -%}

with line_costs as (

    select * from {{ ref('int_line_return_costs') }}

),

products as (

    select * from {{ ref('products') }}

),

-- units that come back are worth their cost again; margins leave out what has no unit cost
costed as (

    select
        line_costs.source,
        {{ members_of_entities('line_costs') }},
        {%- for cost in costs %}
        line_costs.{{ cost }},
        {%- endfor %}
        1 as returns,
        case when line_costs.return_cost_mid is not null then 1 end as priced_returns,
        case when line_costs.order_line_id is not null then 1 end as returned_lines,
        case when line_costs.order_line_id is not null then line_costs.quantity end
            as returned_units,
        case when line_costs.order_line_id is not null then line_costs.refund_amount end
            as refund_amount,
        case when line_costs.order_line_id is null then 1 end as unmatched_returns,
        case when line_costs.order_line_id is null then line_costs.quantity end
            as unmatched_returned_units,
        case when line_costs.order_line_id is null then line_costs.refund_amount end
            as unmatched_refund_amount,
        case when products.unit_cost is not null then 1 end as margin_returns,
        case
            when products.unit_cost is not null and line_costs.order_line_id is not null
                then line_costs.refund_amount
        end as margin_refund_amount,
        case
            when line_costs.order_line_id is not null
                then cast(line_costs.quantity * products.unit_cost as decimal(18, 4))
        end as returned_goods_cost,
        case when products.unit_cost is not null then line_costs.return_cost_low end
            as margin_return_cost_low,
        case when products.unit_cost is not null then line_costs.return_cost_mid end
            as margin_return_cost_mid,
        case when products.unit_cost is not null then line_costs.return_cost_high end
            as margin_return_cost_high
    from line_costs
    left join products
        on
            line_costs.source = products.source
            and line_costs.product_id = products.product_id

),

final as (

    {{ added_up_by_entity(
        'costed',
        counts=[
            'returns', 'priced_returns', 'returned_lines', 'returned_units', 'unmatched_returns',
            'unmatched_returned_units', 'margin_returns',
        ],
        amounts=costs + [
            'refund_amount', 'unmatched_refund_amount', 'margin_refund_amount',
            'returned_goods_cost', 'margin_return_cost_low', 'margin_return_cost_mid',
            'margin_return_cost_high',
        ]
    ) }}

)

select * from final
