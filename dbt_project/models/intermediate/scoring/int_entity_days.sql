-- What each customer, product, seller, category, brand and source had behind it on every day on
-- which it was ordered: the counters of all days before, none of the day itself. One pass of one
-- window over sums per day; two counters share a number on the way, since a window costs by the
-- number of its sums.

-- two counts and a number that holds both; orders are counted of customers only
{% set pairs = {
    'sold': ['line_count', 'returned_line_count'],
    'dealt': ['order_count', 'rating_count'],
    'delivered': ['delivered_count', 'late_count'],
} -%}
{% set totals = ['price_total', 'rating_total'] -%}
-- what happens, where it stands, on which day, and what it adds
{% set events = {
    'sold': {
        'relation': ref('int_feature_lines'), 'day': 'day_no',
        'adds': {
            'is_ordered': '1', 'sold': '1', 'price_total': 'unit_price',
            'dealt': 'case when is_first_of_order then 1 else 0 end',
        },
    },
    'gone': {
        'relation': ref('int_feature_lines'), 'day': 'gone_day_no',
        'adds': {'sold': '-1', 'price_total': '-unit_price'},
    },
    'returned': {
        'relation': ref('int_feature_lines'), 'day': 'returned_day_no',
        'adds': {'is_returned': '1', 'sold': second_of_two(1)},
    },
    'rated': {
        'relation': 'rated', 'day': 'day_no',
        'adds': {'dealt': second_of_two(1), 'rating_total': 'rating'},
    },
    'delivered': {
        'relation': ref('int_feature_lines'), 'day': 'delivered_day_no',
        'adds': {'delivered': 'case when is_late then 1 + ' ~ second_of_two(1) ~ ' else 1 end'},
    },
} -%}
-- what the features need of each type
{% set sales = ['sold', 'gone', 'returned'] -%}
{% set entities = {
    'source': {
        'events': sales + ['rated', 'delivered'],
        'sums': ['sold', 'dealt', 'delivered', 'rating_total'],
        'days': [],
    },
    'customer': {
        'events': sales + ['rated'],
        'sums': ['sold', 'dealt', 'price_total', 'rating_total'],
        'days': ['first_order_day', 'last_order_day', 'last_return_day'],
    },
    'product': {
        'events': sales + ['rated'],
        'sums': ['sold', 'dealt', 'price_total', 'rating_total'],
        'days': ['first_order_day'],
    },
    'seller': {
        'events': sales + ['rated', 'delivered'],
        'sums': ['sold', 'dealt', 'delivered', 'rating_total'],
        'days': [],
    },
    'category': {'events': sales, 'sums': ['sold', 'price_total'], 'days': []},
    'brand': {'events': sales, 'sums': ['sold'], 'days': []},
} -%}

with entities as (

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
        {%- for name in entity.sums %}
        {%- set type = 'decimal(18, 4)' if name in totals else 'bigint' %}
        {%- set adds = '0' if name == 'dealt' and event == 'sold' and entity_type != 'customer'
            else events[event].adds.get(name, '0') %}
        cast({{ adds }} as {{ type }}) as {{ name }},
        {%- endfor %}
        {{ events[event].adds.get('is_returned', '0') }} as is_returned,
        {{ events[event].adds.get('is_ordered', '0') }} as is_ordered
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
        {%- for name in entity.sums %}
        {%- set type = 'decimal(18, 4)' if name in totals else 'bigint' %}
        cast(sum({{ name }}) as {{ type }}) as {{ name }},
        {%- endfor %}
        max(is_ordered) as is_ordered,
        max(is_returned) as is_returned
    from {{ entity_type }}_events
    group by entity_no, day_no

),

{{ entity_type }}_before as (

    select
        entity_no,
        day_no,
        {%- for name in entity.sums %}
        {%- set type = 'double' if name in totals else 'bigint' %}
        cast(sum({{ name }}) over ({{ days_before() }}) as {{ type }}) as {{ name }},
        {%- endfor %}
        {%- for day in entity.days %}
        {{ day_before(day) }} as {{ day }},
        {%- endfor %}
        is_ordered
    from {{ entity_type }}_days

),
{%- endfor %}

final as (

    {%- for entity_type, entity in entities.items() %}

    select
        '{{ entity_type }}' as entity_type,
        entity_no,
        day_no,
        {%- for sum, counters in pairs.items() %}
        {%- for counter in counters %}
        {%- set place = 'first' if loop.first else 'second' %}
        {%- set is_counted = sum in entity.sums
            and (counter != 'order_count' or entity_type == 'customer') %}
        cast({{ unpacked(sum, place) if is_counted else 'null' }} as int)
            as {{ counter }}_before,
        {%- endfor %}
        {%- endfor %}
        {%- for total in totals %}
        cast({{ total if total in entity.sums else 'null' }} as double) as {{ total }}_before,
        {%- endfor %}
        cast({{ 'first_order_day' if 'first_order_day' in entity.days else 'null' }} as int)
            as first_order_day_before,
        cast({{ 'last_order_day' if 'last_order_day' in entity.days else 'null' }} as int)
            as last_order_day_before,
        cast({{ 'last_return_day' if 'last_return_day' in entity.days else 'null' }} as int)
            as last_return_day_before
    from {{ entity_type }}_before
    where is_ordered = 1
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

)

select * from final
