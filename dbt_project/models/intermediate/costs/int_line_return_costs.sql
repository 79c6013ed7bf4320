-- What each return cost. Every component is rounded to four decimals, the total is their sum: so
-- whatever is added up over returns, the parts make the whole.

{% set components = return_cost_components() -%}

with order_lines as (

    select * from {{ ref('order_lines') }} where returned_quantity > 0

),

returns as (

    select * from {{ ref('returns') }} where order_line_id is null

),

components as (

    select * from {{ ref('int_return_cost_components') }}

),

places as (

    select * from {{ ref('int_return_cost_rates') }} where has_rates

),

-- one row per place, the components side by side
policies as (

    select
        places.source,
        places.marketplace,
        {%- for component in components %}
        max(case when components.component = '{{ component }}' then components.basis end)
            as {{ component }}_basis,
        max(case when components.component = '{{ component }}' then components.low end)
            as {{ component }}_low,
        max(case when components.component = '{{ component }}' then components.mid end)
            as {{ component }}_mid,
        max(case when components.component = '{{ component }}' then components.high end)
            as {{ component }}_high,
        {%- endfor %}
        places.category
    from places
    inner join components
        on
            places.source = components.source
            and places.marketplace = components.marketplace
            and places.category = components.category
    group by places.source, places.marketplace, places.category

),

-- a return without a sale costs as much as any other: it is one line more
returned as (

    select
        source,
        order_line_id,
        cast(null as string) as return_id,
        cast(null as bigint) as allocation_number,
        customer_id,
        product_id,
        seller_id,
        marketplace,
        category,
        country,
        returned_quantity as quantity,
        refund_amount
    from order_lines

    union all

    select
        source,
        order_line_id,
        return_id,
        allocation_number,
        customer_id,
        product_id,
        seller_id,
        marketplace,
        category,
        country,
        quantity,
        refund_amount
    from returns

),

multiplied as (

    select
        {%- for component in components %}
        {{ component_cost(component, 'low') }} as {{ component }}_low,
        {{ component_cost(component, 'mid') }} as {{ component }}_mid,
        {{ component_cost(component, 'high') }} as {{ component }}_high,
        {%- endfor %}
        returned.*
    from returned
    left join policies
        on
            returned.source = policies.source
            and coalesce(returned.marketplace, 'unknown') = policies.marketplace
            and coalesce(returned.category, 'unknown') = policies.category

),

final as (

    select
        source,
        order_line_id,
        return_id,
        allocation_number,
        customer_id,
        product_id,
        seller_id,
        marketplace,
        category,
        country,
        {%- for component in components %}
        {{ component }}_mid as {{ component }}_cost,
        {%- endfor %}
        {%- for level in ['low', 'mid', 'high'] %}
        cast(
            outbound_shipping_{{ level }} + return_label_{{ level }} + inspection_{{ level }}
            + repack_{{ level }} + payment_and_marketplace_fees_{{ level }}
            + markdown_{{ level }} + disposal_{{ level }} + tied_up_capital_{{ level }}
            as decimal(18, 4)
        ) as return_cost_{{ level }},
        {%- endfor %}
        quantity,
        refund_amount
    from multiplied

)

select * from final
