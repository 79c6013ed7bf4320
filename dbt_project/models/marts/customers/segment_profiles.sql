{% set shares = {
    'customers': 'customer_share', 'gross_revenue': 'gross_revenue_share',
    'net_revenue': 'net_revenue_share', 'returned_units': 'returned_units_share',
    'return_cost': 'return_cost_share', 'net_margin_after_returns': 'net_margin_share',
} -%}

with customer_segments as (

    select * from {{ ref('customer_segments') }}

),

segment_names as (

    select * from {{ ref('policy_segment_names') }}

),

customers as (

    select * from {{ ref('customers') }}

),

return_costs as (

    select * from {{ ref('return_costs') }} where entity_type = 'customer'

),

sources as (

    select * from {{ ref('int_sources') }}

),

valued as (

    select
        customer_segments.source,
        customer_segments.segment_name,
        customers.order_count,
        customers.quantity,
        customers.returned_quantity,
        customers.net_amount,
        customers.refund_amount,
        customers.kept_amount,
        return_costs.return_cost_mid,
        return_costs.net_margin_after_returns
    from customer_segments
    inner join customers
        on
            customer_segments.source = customers.source
            and customer_segments.customer_id = customers.customer_id
    left join return_costs
        on
            customer_segments.source = return_costs.source
            and customer_segments.customer_id = return_costs.entity_id

),

totals as (

    select
        source,
        segment_name,
        count(*) as customers,
        sum(order_count) as orders,
        sum(quantity) as units,
        sum(returned_quantity) as returned_units,
        sum(net_amount) as gross_revenue,
        sum(refund_amount) as refund_amount,
        sum(kept_amount) as net_revenue,
        sum(return_cost_mid) as return_cost,
        sum(net_margin_after_returns) as net_margin_after_returns
    from valued
    group by source, segment_name

),

segmented_sources as (

    select distinct source from totals

),

-- every name stands in the table, also where nobody has it
named as (

    select
        segmented_sources.source,
        segment_names.segment_name
    from segment_names
    cross join segmented_sources

),

filled as (

    select
        named.source,
        named.segment_name,
        {%- for column in ['customers', 'orders', 'units', 'returned_units'] %}
        cast(coalesce(totals.{{ column }}, 0) as bigint) as {{ column }},
        {%- endfor %}
        {%- for column in ['gross_revenue', 'refund_amount', 'net_revenue'] %}
        cast(coalesce(totals.{{ column }}, 0) as decimal(18, 4)) as {{ column }},
        {%- endfor %}
        cast(totals.return_cost as decimal(18, 4)) as return_cost,
        cast(totals.net_margin_after_returns as decimal(18, 4)) as net_margin_after_returns
    from named
    left join totals
        on
            named.source = totals.source
            and named.segment_name = totals.segment_name

),

final as (

    select
        filled.source,
        filled.segment_name,
        sources.reporting_currency as currency,
        filled.customers,
        filled.orders,
        filled.units,
        filled.returned_units,
        filled.gross_revenue,
        filled.refund_amount,
        filled.net_revenue,
        filled.return_cost,
        filled.net_margin_after_returns,
        cast(filled.gross_revenue as double) / nullif(filled.orders, 0) as aov,
        cast(filled.returned_units as double) / nullif(filled.units, 0) as return_rate,
        {%- for column, share in shares.items() %}
        cast(filled.{{ column }} as double)
        / nullif(cast(sum(filled.{{ column }}) over (partition by filled.source) as double), 0)
            as {{ share }},
        {%- endfor %}
        sources.as_of_date
    from filled
    inner join sources
        on filled.source = sources.source

)

select * from final
