-- What each customer, product, seller, category, brand and source had behind it on every day on
-- which something happened: the counters of all days before, none of the day itself. One pass of
-- one window over sums per day.

{% set counters = [
    'line_count', 'order_count', 'returned_line_count', 'price_total', 'rating_count',
    'rating_total', 'delivered_count', 'late_count',
] -%}
{% set days = ['first_order_day', 'last_order_day', 'last_return_day'] -%}
-- what happens, where it stands, on which day, and what it adds
{% set events = {
    'sold': {
        'relation': 'lines', 'day': 'day_no',
        'adds': {
            'ordered_count': '1', 'line_count': '1', 'price_total': 'unit_price',
            'order_count': 'case when is_first_of_order then 1 else 0 end',
        },
    },
    'gone': {
        'relation': 'lines', 'day': 'gone_day_no',
        'adds': {'line_count': '-1', 'price_total': '-unit_price'},
    },
    'returned': {
        'relation': 'lines', 'day': 'returned_day_no', 'adds': {'returned_line_count': '1'},
    },
    'rated': {
        'relation': 'rated', 'day': 'day_no',
        'adds': {'rating_count': '1', 'rating_total': 'rating'},
    },
    'delivered': {
        'relation': 'lines', 'day': 'delivered_day_no',
        'adds': {
            'delivered_count': '1', 'late_count': 'case when is_late then 1 else 0 end',
        },
    },
} -%}
-- what the features need of each type
{% set sales = ['sold', 'gone', 'returned'] -%}
{% set entities = {
    'source': {
        'events': sales + ['rated', 'delivered'],
        'counted': [
            'line_count', 'returned_line_count', 'rating_count', 'rating_total',
            'delivered_count', 'late_count',
        ],
    },
    'customer': {
        'events': sales + ['rated'],
        'counted': [
            'line_count', 'order_count', 'returned_line_count', 'price_total', 'rating_count',
            'rating_total', 'first_order_day', 'last_order_day', 'last_return_day',
        ],
    },
    'product': {
        'events': sales + ['rated'],
        'counted': [
            'line_count', 'returned_line_count', 'price_total', 'rating_count', 'rating_total',
            'first_order_day',
        ],
    },
    'seller': {
        'events': sales + ['rated', 'delivered'],
        'counted': [
            'line_count', 'returned_line_count', 'rating_count', 'rating_total',
            'delivered_count', 'late_count',
        ],
    },
    'category': {
        'events': sales, 'counted': ['line_count', 'returned_line_count', 'price_total'],
    },
    'brand': {'events': sales, 'counted': ['line_count', 'returned_line_count']},
} -%}

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
        sources.entity_no as source_no,
        customers.entity_no as customer_no,
        products.entity_no as product_no,
        sellers.entity_no as seller_no
    from reviews
    left join entities as sources
        on
            reviews.source = sources.source
            and sources.entity_type = 'source'
    left join entities as customers
        on
            reviews.source = customers.source
            and reviews.customer_id = customers.entity_id
            and customers.entity_type = 'customer'
    left join entities as products
        on
            reviews.source = products.source
            and reviews.product_id = products.entity_id
            and products.entity_type = 'product'
    left join entities as sellers
        on
            reviews.source = sellers.source
            and reviews.seller_id = sellers.entity_id
            and sellers.entity_type = 'seller'

),

-- what is sold counts until it is known to be cancelled or undelivered, what comes back from the
-- day it came back
{%- for entity_type, entity in entities.items() %}

{{ entity_type }}_events as (

    {%- for event in entity.events %}

    select
        {{ entity_type }}_no as entity_no,
        {{ events[event].day }} as day_no,
        {%- for counter in counters if counter in entity.counted %}
        {%- set nothing = 'cast(0 as decimal(18, 4))' if counter.endswith('total') else '0' %}
        {{ events[event].adds.get(counter, nothing) }} as {{ counter }},
        {%- endfor %}
        {{ events[event].adds.get('ordered_count', '0') }} as ordered_count
    from {{ events[event].relation }}
    where {{ entity_type }}_no is not null and {{ events[event].day }} is not null
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

{{ entity_type }}_days as (

    select
        entity_no,
        day_no,
        {%- for counter in counters if counter in entity.counted %}
        {%- set type = 'decimal(38, 4)' if counter.endswith('total') else 'int' %}
        cast(sum({{ counter }}) as {{ type }}) as {{ counter }},
        {%- endfor %}
        max(ordered_count) = 1 as has_orders
    from {{ entity_type }}_events
    group by entity_no, day_no

),
{%- endfor %}

final as (

    {%- for entity_type, entity in entities.items() %}

    select
        '{{ entity_type }}' as entity_type,
        entity_no,
        day_no,
        {%- for counter in counters %}
        {%- set type = 'decimal(38, 4)' if counter.endswith('total') else 'int' %}
        cast({{ counter if counter in entity.counted else 'null' }} as {{ type }}) as {{ counter }},
        {%- endfor %}
        {%- for counter in counters + days %}
        cast(
            {{ sum_before(counter) if counter in entity.counted else 'null' }}
            as {{ 'double' if counter.endswith('total') else 'int' }}
        ) as {{ counter }}_before,
        {%- endfor %}
        has_orders
    from {{ entity_type }}_days
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

)

select * from final
