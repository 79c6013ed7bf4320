-- The counters of return_features as of now: what a line would know that is ordered after the
-- as-of date.

{% set counters = [
    'line_count', 'order_count', 'returned_line_count', 'price_total', 'rating_count',
    'rating_total', 'delivered_count', 'late_count',
] -%}

with entity_days as (

    select * from {{ ref('int_entity_days') }}

),

entities as (

    select * from {{ ref('int_feature_entities') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

totals as (

    select
        entity_no,
        {%- for counter in counters %}
        sum({{ counter }}) as {{ counter }},
        {%- endfor %}
        min(case when has_orders then day_no end) as first_order_day_no,
        max(case when has_orders then day_no end) as last_order_day_no,
        max(case when returned_line_count > 0 then day_no end) as last_return_day_no
    from entity_days
    group by entity_no

),

final as (

    select
        entities.source,
        entities.entity_type,
        entities.entity_id,
        {%- for counter in counters %}
        {%- set type = 'decimal(38, 4)' if counter.endswith('total') else 'bigint' %}
        cast(totals.{{ counter }} as {{ type }}) as {{ counter }},
        {%- endfor %}
        {%- for day in ['first_order', 'last_order', 'last_return'] %}
        {{ date_of('totals.' ~ day ~ '_day_no') }} as {{ day }}_date,
        {%- endfor %}
        cast(totals.returned_line_count as double) / nullif(totals.line_count, 0)
            as observed_return_rate,
        sources.as_of_date
    from totals
    inner join entities
        on totals.entity_no = entities.entity_no
    inner join sources
        on entities.source = sources.source

)

select * from final
