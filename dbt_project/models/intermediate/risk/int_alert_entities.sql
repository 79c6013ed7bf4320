-- Whom alerts may be about, numbered: numbers are joined, grouped and sorted several times faster
-- than names.

with order_lines as (

    select * from {{ ref('order_lines') }}

),

sellers as (

    select * from {{ ref('sellers') }}

),

products as (

    select * from {{ ref('products') }}

),

cells as (

    select distinct
        source,
        coalesce(marketplace, 'unknown') as marketplace,
        coalesce(category, 'unknown') as category
    from order_lines

),

named as (

    {%- for entity_type, entity_id, marketplace, category, table in [
        ('seller', 'seller_id', none, none, 'sellers'),
        ('product', 'product_id', none, none, 'products'),
        (
            'category of a marketplace', "concat(marketplace, ' / ', category)",
            'marketplace', 'category', 'cells',
        ),
        ('category', 'category', none, 'category', 'cells'),
        ('marketplace', 'marketplace', 'marketplace', none, 'cells'),
        ('all', "'all'", none, none, 'cells'),
    ] %}

    select
        source,
        '{{ entity_type }}' as entity_type,
        {{ entity_id }} as entity_id,
        {{ marketplace or 'cast(null as string)' }} as marketplace,
        {{ category or 'cast(null as string)' }} as category
    from {{ table }}
    {%- if not loop.last %}

    union
    {%- endif %}
    {%- endfor %}

),

final as (

    select
        cast(
            row_number() over (order by source, entity_type, entity_id, marketplace, category)
            as bigint
        ) as entity_no,
        source,
        entity_type,
        entity_id,
        marketplace,
        category
    from named

)

select * from final
