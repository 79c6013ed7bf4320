-- return_costs: every return is priced once, and whoever it is looked at by, the sum is the same

{% set costs = [] %}
{% for component in return_cost_components() %}
{% do costs.append(component ~ '_cost') %}
{% endfor %}
{% set sums = [
    'order_lines', 'units', 'returned_lines', 'returned_units', 'unmatched_returns',
    'unmatched_returned_units', 'net_amount', 'refund_amount', 'kept_amount',
    'unmatched_refund_amount',
] + costs + [
    'return_cost_low', 'return_cost_mid', 'return_cost_high', 'margin_units',
    'margin_net_amount', 'margin_kept_amount', 'kept_goods_cost', 'margin_return_cost',
    'gross_margin_before_returns', 'net_margin_after_returns', 'net_margin_after_returns_low',
    'net_margin_after_returns_high',
] -%}

with return_costs as (

    select * from {{ ref('return_costs') }}

),

everything as (

    select * from return_costs where entity_type = 'all'

),

by_entity as (

    select
        source,
        {%- for column in sums %}
        sum({{ column }}) as {{ column }},
        {%- endfor %}
        entity_type
    from return_costs
    where entity_type <> 'all'
    group by source, entity_type

),

ledger as (

    select
        source,
        sum(order_lines) as order_lines,
        sum(units) as units,
        sum(gross_revenue) as gross_revenue,
        sum(net_revenue) as net_revenue,
        sum(returned_units_by_sale_date) as returned_units,
        sum(returned_units_by_event_date) as all_returned_units,
        sum(unmatched_refund_amount) as unmatched_refund_amount
    from {{ ref('kpis_monthly') }}
    group by source

),

line_costs as (

    select * from {{ ref('int_line_return_costs') }}

),

rates as (

    select * from {{ ref('int_return_cost_rates') }}

),

returned as (

    select
        source,
        1 as return_count
    from {{ ref('order_lines') }}
    where returned_quantity > 0

    union all

    select
        source,
        1 as return_count
    from {{ ref('returns') }}
    where order_line_id is null

),

returns as (

    select
        source,
        sum(return_count) as return_count
    from returned
    group by source

),

priced as (

    select
        source,
        count(*) as return_count
    from line_costs
    group by source

),

broken as (

    select
        'one row per source, entity_type and entity_id' as claim,
        source,
        entity_type || ' ' || entity_id as example
    from return_costs
    group by source, entity_type, entity_id
    having count(*) > 1

    union all

    select
        'the members of an entity add up to everything' as claim,
        everything.source,
        by_entity.entity_type as example
    from everything
    left join by_entity
        on everything.source = by_entity.source
    where
        by_entity.source is null
        {%- for column in sums %}
        or coalesce(by_entity.{{ column }}, 0) <> everything.{{ column }}
        {%- endfor %}

    union all

    select
        'everything is what the KPIs say' as claim,
        everything.source,
        everything.entity_id as example
    from everything
    left join ledger
        on everything.source = ledger.source
    where
        ledger.source is null
        or everything.order_lines <> ledger.order_lines
        or everything.units <> ledger.units
        or everything.net_amount <> ledger.gross_revenue
        or everything.kept_amount <> ledger.net_revenue
        or everything.returned_units <> ledger.returned_units
        or everything.returned_units + everything.unmatched_returned_units
        <> ledger.all_returned_units
        or everything.unmatched_refund_amount <> ledger.unmatched_refund_amount

    union all

    select
        'every return is priced once' as claim,
        returns.source,
        cast(returns.return_count as string) as example
    from returns
    left join priced
        on returns.source = priced.source
    left join everything
        on returns.source = everything.source
    where
        coalesce(priced.return_count, 0) <> returns.return_count
        or coalesce(everything.returned_lines + everything.unmatched_returns, 0)
        <> returns.return_count

    union all

    -- eight components, each rounded by less than 0.0001
    select
        'the rates price a return as its components do' as claim,
        line_costs.source,
        coalesce(line_costs.order_line_id, line_costs.return_id) as example
    from line_costs
    left join rates
        on
            line_costs.source = rates.source
            and coalesce(line_costs.marketplace, 'unknown') = rates.marketplace
            and coalesce(line_costs.category, 'unknown') = rates.category
    where
        rates.has_rates is null
        or rates.has_rates <> (line_costs.return_cost_mid is not null)
        or abs(
            line_costs.return_cost_mid - rates.per_line_mid
            - rates.per_unit_mid * line_costs.quantity
            - rates.refund_share_mid * line_costs.refund_amount
        ) > 0.0008
        or abs(
            line_costs.return_cost_high - rates.per_line_high
            - rates.per_unit_high * line_costs.quantity
            - rates.refund_share_high * line_costs.refund_amount
        ) > 0.0008

)

select * from broken
