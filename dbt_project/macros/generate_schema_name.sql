{#- Schemas are named as written (marts, staging …), without the target's schema in front:
    the contract with users is `marts.order_lines`, on every target. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}
