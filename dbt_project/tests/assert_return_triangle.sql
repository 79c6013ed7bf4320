-- return_triangle: nothing that came back is missing, and marketplaces and categories add up

{%- set measures = [
    'sold_lines', 'sold_units', 'sold_amount', 'returned_lines', 'returned_units', 'refund_amount',
] %}

with triangle as (

    select * from {{ ref('return_triangle') }}

),

order_lines as (

    select * from {{ ref('order_lines') }} where is_sale

),

sources as (

    select * from {{ ref('int_sources') }} where has_returns

),

-- sold stands at every age, returned adds up over them
months as (

    select
        source,
        entity_type,
        entity_id,
        sale_month,
        {%- for measure in measures %}
        {{ 'max' if measure.startswith('sold') else 'sum' }}({{ measure }}) as {{ measure }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from triangle
    group by source, entity_type, entity_id, sale_month

),

ledger as (

    {%- for entity_type in ['all', 'marketplace', 'category'] %}
    {%- set entity_id = "'all'" if entity_type == 'all'
        else "coalesce(order_lines." ~ entity_type ~ ", 'unknown')" %}

    select
        order_lines.source,
        '{{ entity_type }}' as entity_type,
        {{ entity_id }} as entity_id,
        {{ month_start('order_lines.ordered_date') }} as sale_month,
        count(*) as sold_lines,
        sum(order_lines.quantity) as sold_units,
        sum(order_lines.net_amount) as sold_amount,
        sum(case when order_lines.returned_quantity > 0 then 1 else 0 end) as returned_lines,
        sum(order_lines.returned_quantity) as returned_units,
        sum(order_lines.refund_amount) as refund_amount
    from order_lines
    inner join sources
        on order_lines.source = sources.source
    group by
        order_lines.source,
        {%- if entity_type != 'all' %}
        {{ entity_id }},
        {%- endif %}
        {{ month_start('order_lines.ordered_date') }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

unequal_to_ledger as (

    select
        'the ages of a month add up to what came back of its lines' as claim,
        coalesce(ledger.source, months.source) as source,
        concat_ws(
            ' ',
            coalesce(ledger.entity_id, months.entity_id),
            cast(coalesce(ledger.sale_month, months.sale_month) as string)
        ) as example
    from ledger
    full outer join months
        on
            ledger.source = months.source
            and ledger.entity_type = months.entity_type
            and ledger.entity_id = months.entity_id
            and ledger.sale_month = months.sale_month
    where
        ledger.source is null
        or months.source is null
        {%- for measure in measures %}
        or ledger.{{ measure }} <> months.{{ measure }}
        {%- endfor %}

),

ages as (

    select
        source,
        entity_type,
        sale_month,
        age_week,
        {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from triangle
    where age_week >= 0
    group by source, entity_type, sale_month, age_week

),

unequal_slices as (

    select
        'marketplaces and categories add up to the whole at every age' as claim,
        ages.source,
        concat_ws(
            ' ', ages.entity_type, cast(ages.sale_month as string), cast(ages.age_week as string)
        ) as example
    from ages
    inner join ages as whole
        on
            ages.source = whole.source
            and ages.sale_month = whole.sale_month
            and ages.age_week = whole.age_week
            and whole.entity_type = 'all'
    where
        false
        {%- for measure in measures %}
        or ages.{{ measure }} <> whole.{{ measure }}
        {%- endfor %}

)

select * from unequal_to_ledger
union all
select * from unequal_slices
