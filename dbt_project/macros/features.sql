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

{#- The first or the last day before on which an entity was ordered, or sent something back. -#}
{% macro day_before(name) -%}
    {%- if name == 'first_order_day' -%}
    min(case when is_ordered = 1 then day_no end)
    {%- elif name == 'last_order_day' -%}
    max(case when is_ordered = 1 then day_no end)
    {%- else -%}
    max(case when is_returned = 1 then day_no end)
    {%- endif %} over ({{ days_before() }})
{%- endmacro %}

{#- The rows of an entity before the one in hand. -#}
{% macro days_before() -%}
    partition by entity_no order by day_no rows between unbounded preceding and 1 preceding
{%- endmacro %}

{#- A count that shares a number with another one, so that one sum adds up both; each total must be
    0 or more and below two billion. -#}
{% macro second_of_two(count) -%}
    {{ count }} * cast(2147483648 as bigint)
{%- endmacro %}

{#- The first or the second of the two counts in a number. The division leaves no rest. -#}
{% macro unpacked(number, place) -%}
    {%- if place == 'first' -%}
    {{ number }} % 2147483648
    {%- else -%}
    ({{ number }} - {{ number }} % 2147483648) / 2147483648
    {%- endif -%}
{%- endmacro %}
