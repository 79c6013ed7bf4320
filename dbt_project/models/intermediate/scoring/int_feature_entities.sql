-- A whole number for everybody and everything that has a history, so that what follows groups and
-- joins numbers.

{% set entities = {
    'source': none, 'customer': 'customer_id', 'product': 'product_id', 'seller': 'seller_id',
    'category': 'category', 'brand': 'brand',
} -%}

with order_lines as (

    select * from {{ ref('order_lines') }}

),

reviews as (

    select * from {{ ref('int_reviews_resolved') }}

),

members as (

    {%- for entity_type, column in entities.items() if column %}

    select
        source,
        '{{ entity_type }}' as entity_type,
        {{ column }} as entity_id
    from order_lines
    where {{ column }} is not null
    group by source, {{ column }}

    {%- if entity_type in ['customer', 'product', 'seller'] %}

    union

    select
        source,
        '{{ entity_type }}' as entity_type,
        {{ column }} as entity_id
    from reviews
    where {{ column }} is not null
    group by source, {{ column }}
    {%- endif %}

    union all
    {%- endfor %}

    select
        source,
        'source' as entity_type,
        'all' as entity_id
    from {{ ref('int_sources') }}

),

final as (

    select
        cast(row_number() over (order by entity_type, source, entity_id) as int) as entity_no,
        source,
        entity_type,
        entity_id
    from members

)

select * from final
