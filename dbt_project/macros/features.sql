{#- A day as a whole number: days since 1970. -#}
{% macro day_number(moment) -%}
    cast({{ days_between("cast('1970-01-01' as date)", moment) }} as int)
{%- endmacro %}

{#- The day of a day number. -#}
{% macro date_of(day_no) -%}
    cast({{ dbt.dateadd('day', day_no, "cast('1970-01-01' as date)") }} as date)
{%- endmacro %}

{#- Total over count, held at the prior as if it had been seen `weight` times more; the prior where
    nothing is known, NULL where there is no prior either. -#}
{% macro smoothed(total, count, prior, weight) -%}
    (cast(coalesce({{ total }}, 0) as double) + {{ weight }} * {{ prior }})
    / (coalesce({{ count }}, 0) + {{ weight }})
{%- endmacro %}

{#- A price over the mean of the prices before. -#}
{% macro price_to(entity_type) -%}
    cast(unit_price as double)
    / nullif(
        cast({{ entity_type }}_price_total as double) / nullif({{ entity_type }}_line_count, 0), 0
    )
{%- endmacro %}

{#- A counter or day of an entity over all days before the one of the row. -#}
{% macro sum_before(counter) -%}
    {%- if counter == 'first_order_day' -%}
    min(case when has_orders then day_no end)
    {%- elif counter == 'last_order_day' -%}
    max(case when has_orders then day_no end)
    {%- elif counter == 'last_return_day' -%}
    max(case when returned_line_count > 0 then day_no end)
    {%- else -%}
    sum({{ counter }})
    {%- endif %} over (
        partition by entity_no order by day_no rows between unbounded preceding and 1 preceding
    )
{%- endmacro %}
