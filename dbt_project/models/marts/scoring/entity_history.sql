-- The counters of return_features as of now: what a line would know that is ordered after the
-- as-of date. Of all days together, so straight from lines and ratings.

-- which types the further counters are kept of, besides lines and returns
{% set counted_of = {
    'order_count': ['customer'],
    'price_total': ['customer', 'product', 'category'],
    'rating_count': ['source', 'customer', 'product', 'seller'],
    'rating_total': ['source', 'customer', 'product', 'seller'],
    'delivered_count': ['source', 'seller'],
    'late_count': ['source', 'seller'],
} -%}
{% set counters = [
    'order_count', 'returned_line_count', 'price_total', 'rating_count', 'rating_total',
    'delivered_count', 'late_count',
] -%}
{% set ids = {
    'source': "'all'", 'customer': 'customer_id', 'product': 'product_id', 'seller': 'seller_id',
} -%}

with entities as (

    select * from {{ ref('int_feature_entities') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

-- what is sold counts unless it was cancelled or not delivered
sold as (

    {%- for entity_type in ['source', 'customer', 'product', 'seller', 'category', 'brand'] %}

    select
        {{ entity_type }}_no as entity_no,
        count(*) - count(gone_day_no) as line_count,
        sum(case when is_first_of_order then 1 else 0 end) as order_count,
        count(returned_day_no) as returned_line_count,
        sum(case when gone_day_no is null then unit_price else 0 end) as price_total,
        count(delivered_day_no) as delivered_count,
        sum(case when delivered_day_no is not null and is_late then 1 else 0 end) as late_count,
        min(day_no) as first_order_day_no,
        max(day_no) as last_order_day_no,
        max(returned_day_no) as last_return_day_no
    from {{ ref('int_feature_lines') }}
    where {{ entity_type }}_no is not null
    group by {{ entity_type }}_no
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

rated as (

    {%- for entity_type, id in ids.items() %}

    select
        source,
        '{{ entity_type }}' as entity_type,
        {{ id }} as entity_id,
        count(*) as rating_count,
        sum(rating) as rating_total
    from {{ ref('int_reviews_resolved') }}
    where {{ id }} is not null
    group by source, {{ id }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

final as (

    select
        entities.source,
        entities.entity_type,
        entities.entity_id,
        cast(coalesce(sold.line_count, 0) as bigint) as line_count,
        {%- for counter in counters %}
        {%- set type = 'decimal(38, 4)' if counter.endswith('total') else 'bigint' %}
        {%- set relation = 'rated' if counter.startswith('rating') else 'sold' %}
        cast(
            {%- if counter in counted_of %}
            case
                when
                    entities.entity_type in (
                        {%- for one in counted_of[counter] %}
                        '{{ one }}'{{ ',' if not loop.last }}
                        {%- endfor %}
                    )
                    then coalesce({{ relation }}.{{ counter }}, 0)
            end
            {%- else %}
            coalesce({{ relation }}.{{ counter }}, 0)
            {%- endif %} as {{ type }}
        ) as {{ counter }},
        {%- endfor %}
        {%- for day in ['first_order', 'last_order', 'last_return'] %}
        {{ date_of('sold.' ~ day ~ '_day_no') }} as {{ day }}_date,
        {%- endfor %}
        cast(sold.returned_line_count as double) / nullif(sold.line_count, 0)
            as observed_return_rate,
        sources.as_of_date
    from entities
    inner join sources
        on entities.source = sources.source
    left join sold
        on entities.entity_no = sold.entity_no
    left join rated
        on
            entities.source = rated.source
            and entities.entity_type = rated.entity_type
            and entities.entity_id = rated.entity_id
    where sold.entity_no is not null or rated.entity_id is not null

)

select * from final
