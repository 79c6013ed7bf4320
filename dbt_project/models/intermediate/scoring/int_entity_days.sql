-- What each customer, product, seller, category, brand and source had behind it on every day on
-- which something happened: the counters of all days before, none of the day itself. One pass of
-- one window over sums per day.

{% set entities = history_entities() -%}
{% set counters = history_counters() -%}

with lines as (

    select * from {{ ref('int_feature_lines') }}

),

entities as (

    select * from {{ ref('int_feature_entities') }}

),

reviews as (

    select * from {{ ref('int_reviews_resolved') }}

),

rated as (

    select
        {{ day_number('reviews.reviewed_date') }} as day_no,
        reviews.rating,
        {%- for entity_type in ['source', 'customer', 'product', 'seller'] %}
        {{ entity_type }}s.entity_no as {{ entity_type }}_no{{ ',' if not loop.last }}
        {%- endfor %}
    from reviews
    {%- for entity_type in ['source', 'customer', 'product', 'seller'] %}
    left join entities as {{ entity_type }}s
        on
            reviews.source = {{ entity_type }}s.source
            and {{ entity_type }}s.entity_type = '{{ entity_type }}'
            {%- if entity_type != 'source' %}
            and reviews.{{ entity_type }}_id = {{ entity_type }}s.entity_id
            {%- endif %}
    {%- endfor %}

),

-- what is sold counts until it is known to be cancelled or undelivered, what comes back from the
-- day it came back
events as (
    {% for entity_type in entities %}
    {{ history_event(entity_type, 'lines', 'day_no', {
        'ordered_count': 1, 'line_count': 1, 'price_total': 'unit_price',
        'order_count': 'case when is_first_of_order then 1 else 0 end',
    }) }}

    union all

    {{ history_event(entity_type, 'lines', 'gone_day_no', {
        'line_count': -1, 'price_total': '-unit_price',
    }) }}

    union all

    {{ history_event(entity_type, 'lines', 'returned_day_no', {'returned_line_count': 1}) }}
    {%- if entity_type in ['source', 'customer', 'product', 'seller'] %}

    union all

    {{ history_event(entity_type, 'rated', 'day_no', {
        'rating_count': 1, 'rating_total': 'rating',
    }) }}
    {%- endif %}
    {%- if entity_type in ['source', 'seller'] %}

    union all

    {{ history_event(entity_type, 'lines', 'delivered_day_no', {
        'delivered_count': 1, 'late_count': 'case when is_late then 1 else 0 end',
    }) }}
    {%- endif %}
    {%- if not loop.last %}

    union all
    {% endif %}
    {%- endfor %}

),

days as (

    select
        entity_type,
        entity_no,
        day_no,
        max(ordered_count) = 1 as has_orders,
        {%- for counter in counters %}
        {%- set type = 'decimal(38, 4)' if counter.endswith('total') else 'int' %}
        cast(sum({{ counter }}) as {{ type }}) as {{ counter }}{{ ',' if not loop.last }}
        {%- endfor %}
    from events
    group by entity_type, entity_no, day_no

),

final as (

    select
        *,
        {%- for counter in counters %}
        {%- set type = 'decimal(38, 4)' if counter.endswith('total') else 'bigint' %}
        cast(sum({{ counter }}) over before as {{ type }}) as {{ counter }}_before,
        {%- endfor %}
        min(case when has_orders then day_no end) over before as first_order_day_before,
        max(case when has_orders then day_no end) over before as last_order_day_before,
        max(case when returned_line_count > 0 then day_no end) over before
            as last_return_day_before
    from days
    window
        before as (
            partition by entity_no
            order by day_no
            rows between unbounded preceding and 1 preceding
        )

)

select * from final
