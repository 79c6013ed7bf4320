{% set totals = ['return_cost_low', 'return_cost_mid', 'return_cost_high'] %}
{% set costs = [] %}
{% for component in return_cost_components() %}
{% do costs.append(component ~ '_cost') %}
{% endfor -%}

with sales as (

    select * from {{ ref('int_sales_by_entity') }}

),

return_costs as (

    select * from {{ ref('int_return_costs_by_entity') }}

),

rates as (

    select * from {{ ref('int_return_cost_rates') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

returning_sources as (

    select distinct source from return_costs

),

priced_sources as (

    select distinct source from rates where has_rates

),

-- returns without a sale may belong to a member that sold nothing
members as (

    select
        coalesce(sales.source, return_costs.source) as source,
        coalesce(sales.entity_type, return_costs.entity_type) as entity_type,
        coalesce(sales.entity_id, return_costs.entity_id) as entity_id,
        {%- for column in [
            'units', 'margin_units', 'net_amount', 'margin_net_amount', 'goods_cost'
        ] %}
        coalesce(sales.{{ column }}, 0) as {{ column }},
        {%- endfor %}
        {%- for column in costs + totals + [
            'returns', 'priced_returns', 'returned_lines', 'returned_units', 'refund_amount',
            'unmatched_returns', 'unmatched_returned_units', 'unmatched_refund_amount',
            'margin_returns', 'margin_refund_amount', 'returned_goods_cost',
            'margin_return_cost_low', 'margin_return_cost_mid', 'margin_return_cost_high',
        ] %}
        coalesce(return_costs.{{ column }}, 0) as {{ column }},
        {%- endfor %}
        coalesce(sales.order_lines, 0) as order_lines
    from sales
    full outer join return_costs
        on
            sales.source = return_costs.source
            and sales.entity_type = return_costs.entity_type
            and sales.entity_id = return_costs.entity_id

),

-- a source that does not record its returns has no rows: a cost of 0 would be a wrong answer
judged as (

    select
        members.*,
        sources.reporting_currency,
        sources.as_of_date,
        priced_sources.source is not null
        and members.priced_returns = members.returns as is_priced,
        members.margin_units + members.margin_returns > 0 as has_margin
    from members
    inner join sources
        on members.source = sources.source
    left join returning_sources
        on members.source = returning_sources.source
    left join priced_sources
        on members.source = priced_sources.source
    where sources.has_returns or returning_sources.source is not null

),

final as (

    select
        source,
        entity_type,
        entity_id,
        reporting_currency as currency,
        order_lines,
        units,
        returned_lines,
        returned_units,
        unmatched_returns,
        unmatched_returned_units,
        net_amount,
        refund_amount,
        cast(net_amount - refund_amount as decimal(18, 4)) as kept_amount,
        unmatched_refund_amount,
        {%- for column in costs + totals %}
        case when is_priced then {{ column }} end as {{ column }},
        {%- endfor %}
        {%- for level in ['mid', 'low', 'high'] %}
        case
            when is_priced and returns > 0 then {{ money('return_cost_' ~ level ~ ' / returns') }}
        end as cost_per_returned_line{{ '' if level == 'mid' else '_' ~ level }},
        {%- endfor %}
        case
            when is_priced and net_amount > 0 then cast(return_cost_mid as double) / net_amount
        end as return_cost_share,
        margin_units,
        case when units > 0 then cast(margin_units as double) / units end as margin_coverage,
        case when has_margin then margin_net_amount end as margin_net_amount,
        case
            when has_margin then cast(margin_net_amount - margin_refund_amount as decimal(18, 4))
        end as margin_kept_amount,
        case
            when has_margin then cast(goods_cost - returned_goods_cost as decimal(18, 4))
        end as kept_goods_cost,
        case when has_margin and is_priced then margin_return_cost_mid end as margin_return_cost,
        case
            when has_margin then cast(margin_net_amount - goods_cost as decimal(18, 4))
        end as gross_margin_before_returns,
        {%- for level, suffix in {'mid': '', 'high': '_low', 'low': '_high'}.items() %}
        case
            when has_margin and is_priced
                then
                cast(
                    margin_net_amount - margin_refund_amount - goods_cost + returned_goods_cost
                    - margin_return_cost_{{ level }} as decimal(18, 4)
                )
        end as net_margin_after_returns{{ suffix }},
        {%- endfor %}
        as_of_date
    from judged

)

select * from final
