{#- What makes up the cost of a return, in the order in which it arises; policy_return_costs has a
    row for each. -#}
{% macro return_cost_components() -%}
    {{ return([
        'outbound_shipping', 'return_label', 'inspection', 'repack',
        'payment_and_marketplace_fees', 'markdown', 'disposal', 'tied_up_capital',
    ]) }}
{%- endmacro %}

{#- Whose sales and returns are added up. -#}
{% macro return_cost_entities() -%}
    {{ return(['marketplace', 'category', 'product', 'seller', 'country', 'customer']) }}
{%- endmacro %}

{#- Select list: the member of each entity that a sale or return belongs to, never NULL. -#}
{% macro members_of_entities(relation) -%}
    {%- for entity in return_cost_entities() %}
    {%- set column = entity if entity in ('marketplace', 'category', 'country') else entity ~ '_id' %}
    coalesce({{ relation }}.{{ column }}, '{{ 'guest' if entity == 'customer' else 'unknown' }}')
        as {{ entity }}
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
{%- endmacro %}

{#- Grouping sets: everything, and each entity by itself. -#}
{% macro sets_of_entities() -%}
    (source)
    {%- for entity in return_cost_entities() %},
        (source, {{ entity }})
    {%- endfor %}
{%- endmacro %}

{#- Two columns that name the grouping set and the member of a row: only one entity is not NULL. -#}
{% macro entity_columns() -%}
    case
        {%- for entity in return_cost_entities() %}
        when {{ entity }} is not null then '{{ entity }}'
        {%- endfor %}
        else 'all'
    end as entity_type,
    coalesce({{ return_cost_entities() | join(', ') }}, 'all') as entity_id
{%- endmacro %}
