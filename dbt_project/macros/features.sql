{#- A day as a whole number: days since 1970. -#}
{% macro day_number(moment) -%}
    cast({{ days_between("cast('1970-01-01' as date)", moment) }} as int)
{%- endmacro %}

{#- Who and what has a history: type -> the column of order_lines that names it. Everything of the
    source together is one more. -#}
{% macro history_entities() -%}
    {{ return({
        'source': none, 'customer': 'customer_id', 'product': 'product_id',
        'seller': 'seller_id', 'category': 'category', 'brand': 'brand',
    }) }}
{%- endmacro %}

{#- What is counted of each of them. -#}
{% macro history_counters() -%}
    {{ return([
        'line_count', 'order_count', 'returned_line_count', 'price_total', 'rating_count',
        'rating_total', 'delivered_count', 'late_count',
    ]) }}
{%- endmacro %}

{#- One kind of event of one type of entity, with what it adds to the counters. -#}
{% macro history_event(entity_type, relation, day, adds) -%}
    select
        '{{ entity_type }}' as entity_type,
        {{ entity_type }}_no as entity_no,
        {{ day }} as day_no,
        {%- for counter in ['ordered_count'] + history_counters() %}
        {%- set nothing = 'cast(0 as decimal(18, 4))' if counter.endswith('total') else 0 %}
        {{ adds.get(counter, nothing) }} as {{ counter }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }}
    where {{ entity_type }}_no is not null and {{ day }} is not null
{%- endmacro %}

{#- The day of a day number. -#}
{% macro date_of(day_no) -%}
    cast({{ dbt.dateadd('day', day_no, "cast('1970-01-01' as date)") }} as date)
{%- endmacro %}

{#- The counters that features are made of, by type of entity. -#}
{% macro feature_counters() -%}
    {{ return({
        'source': [
            'line_count', 'returned_line_count', 'rating_count', 'rating_total',
            'delivered_count', 'late_count',
        ],
        'customer': [
            'line_count', 'order_count', 'returned_line_count', 'price_total', 'rating_count',
            'rating_total', 'first_order_day', 'last_order_day', 'last_return_day',
        ],
        'product': [
            'line_count', 'returned_line_count', 'price_total', 'rating_count', 'rating_total',
            'first_order_day',
        ],
        'seller': [
            'line_count', 'returned_line_count', 'rating_count', 'rating_total',
            'delivered_count', 'late_count',
        ],
        'category': ['line_count', 'returned_line_count', 'price_total'],
        'brand': ['line_count', 'returned_line_count'],
    }) }}
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
