{#- What makes up the cost of a return, in the order in which it arises; policy_return_costs has a
    row for each. -#}
{% macro return_cost_components() -%}
    {{ return([
        'outbound_shipping', 'return_label', 'inspection', 'repack',
        'payment_and_marketplace_fees', 'markdown', 'disposal', 'tied_up_capital',
    ]) }}
{%- endmacro %}

{#- What one component of one return costs, to four decimals. -#}
{% macro component_cost(component, level) -%}
    cast(
        round(
            policies.{{ component }}_{{ level }}
            * case policies.{{ component }}_basis
                when 'per_returned_line' then 1
                when 'per_returned_unit' then cast(returned.quantity as decimal(18, 4))
                when 'share_of_refund' then returned.refund_amount
            end,
            4
        ) as decimal(18, 4)
    )
{%- endmacro %}

{#- Select list: the member of each entity that a row of `relation` belongs to, never NULL. -#}
{% macro members_of_entities(relation) -%}
    'all' as all_member,
    coalesce({{ relation }}.marketplace, 'unknown') as marketplace_member,
    coalesce({{ relation }}.category, 'unknown') as category_member,
    coalesce({{ relation }}.product_id, 'unknown') as product_member,
    coalesce({{ relation }}.seller_id, 'unknown') as seller_member,
    coalesce({{ relation }}.country, 'unknown') as country_member,
    coalesce({{ relation }}.customer_id, 'guest') as customer_member
{%- endmacro %}

{#- The sums of these columns of `relation` for every member of every entity. -#}
{% macro added_up_by_entity(relation, counts, amounts) -%}
    {%- for entity in [
        'all', 'marketplace', 'category', 'product', 'seller', 'country', 'customer'
    ] %}
    select
        source,
        '{{ entity }}' as entity_type,
        {{ entity }}_member as entity_id
        {%- for column in counts %},
        cast(sum({{ column }}) as bigint) as {{ column }}
        {%- endfor %}
        {%- for column in amounts %},
        cast(sum({{ column }}) as decimal(18, 4)) as {{ column }}
        {%- endfor %}
    from {{ relation }}
    group by source, {{ entity }}_member
    {%- if not loop.last %}

    union all
    {% endif %}
    {%- endfor %}
{%- endmacro %}
