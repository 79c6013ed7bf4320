{#- The KPI columns that add up over days and countries. -#}
{% macro additive_kpis() -%}
    {{ return([
        'orders', 'guest_orders', 'order_lines', 'units',
        'returned_units_by_sale_date', 'returned_units_by_event_date',
        'gross_revenue', 'guest_gross_revenue',
        'refund_amount_by_sale_date', 'refund_amount_by_event_date',
        'unmatched_refund_amount', 'excess_refund_amount',
    ]) }}
{%- endmacro %}

{#- Select list shared by the kpis_* marts: the additive KPIs, typed, and what follows from them. -#}
{% macro kpi_columns() -%}
    {%- for column in additive_kpis() %}
    cast(coalesce({{ column }}, 0) as
        {{- ' decimal(18, 4)' if 'revenue' in column or 'amount' in column else ' bigint' -}}
    ) as {{ column }},
    {%- endfor %}
    cast(coalesce(gross_revenue - refund_amount_by_sale_date, 0) as decimal(18, 4))
        as net_revenue_by_sale_date,
    cast(coalesce(gross_revenue - refund_amount_by_event_date, 0) as decimal(18, 4))
        as net_revenue_by_event_date,
    cast(coalesce(gross_revenue - refund_amount_by_sale_date, 0) as decimal(18, 4)) as net_revenue,
    cast(coalesce(active_customers, 0) as bigint) as active_customers,
    case when orders > 0 then cast(gross_revenue as double) / orders end as aov,
    case when units > 0 then cast(returned_units_by_sale_date as double) / units end as return_rate
{%- endmacro %}

{#- What product_performance and category_performance add up over sold lines. -#}
{% macro sales_measures() -%}
    count(*) as order_lines,
        sum(case when return_class = 'returned' then 1 else 0 end) as returned_lines,
        sum(quantity) as units,
        sum(returned_quantity) as returned_units,
        sum(case when is_mature then quantity else 0 end) as mature_units,
        sum(case when is_mature then returned_quantity else 0 end) as mature_returned_units,
        sum(net_amount) as gross_revenue,
        sum(refund_amount) as refund_amount,
        sum(kept_amount) as net_revenue
{%- endmacro %}

{#- The same, typed, with rates beside their numerators and denominators. -#}
{% macro performance_columns() -%}
    {%- for column in [
        'order_lines', 'returned_lines', 'units', 'returned_units', 'mature_units',
        'mature_returned_units', 'unmatched_returned_units',
    ] %}
    cast(coalesce({{ column }}, 0) as bigint) as {{ column }},
    {%- endfor %}
    {%- for column in ['gross_revenue', 'refund_amount', 'net_revenue', 'unmatched_refund_amount'] %}
    cast(coalesce({{ column }}, 0) as decimal(18, 4)) as {{ column }},
    {%- endfor %}
    case when units > 0 then cast(returned_units as double) / units end as return_rate,
    case
        when mature_units > 0 then cast(mature_returned_units as double) / mature_units
    end as mature_return_rate
{%- endmacro %}
