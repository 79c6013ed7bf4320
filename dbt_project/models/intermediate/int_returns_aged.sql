-- What was sold by month, and what came back of it by age in weeks: of everything, of every
-- marketplace and of every category.

{%- set measures = [
    'sold_lines', 'sold_units', 'sold_amount', 'returned_lines', 'returned_units', 'refund_amount',
] %}

with order_lines as (

    select * from {{ ref('order_lines') }} where is_sale

),

returns as (

    select * from {{ ref('returns') }} where order_line_id is not null

),

last_age as (

    select {{ policy_value('triangle_weeks') }} as last_age_week

),

-- a line counts at the age of its first return, units and money at the age of each return;
-- undated returns have no age and stand at -1
parts as (

    select
        order_lines.source,
        order_lines.marketplace,
        order_lines.category,
        {{ month_start('order_lines.ordered_date') }} as sale_month,
        {{ age_week('order_lines.days_to_return', 'last_age.last_age_week') }} as age_week,
        min(order_lines.ordered_date) as first_sale_date,
        count(*) as sold_lines,
        sum(order_lines.quantity) as sold_units,
        sum(order_lines.net_amount) as sold_amount,
        sum(case when order_lines.returned_quantity > 0 then 1 else 0 end) as returned_lines,
        0 as returned_units,
        0 as refund_amount
    from order_lines
    cross join last_age
    group by
        order_lines.source,
        order_lines.marketplace,
        order_lines.category,
        {{ month_start('order_lines.ordered_date') }},
        {{ age_week('order_lines.days_to_return', 'last_age.last_age_week') }}

    union all

    select
        order_lines.source,
        order_lines.marketplace,
        order_lines.category,
        {{ month_start('order_lines.ordered_date') }} as sale_month,
        {{ age_week('returns.days_to_return', 'last_age.last_age_week') }} as age_week,
        cast(null as date) as first_sale_date,
        0 as sold_lines,
        0 as sold_units,
        0 as sold_amount,
        0 as returned_lines,
        sum(returns.quantity) as returned_units,
        sum(returns.refund_amount) as refund_amount
    from returns
    cross join last_age
    inner join order_lines
        on
            returns.source = order_lines.source
            and returns.order_line_id = order_lines.order_line_id
    group by
        order_lines.source,
        order_lines.marketplace,
        order_lines.category,
        {{ month_start('order_lines.ordered_date') }},
        {{ age_week('returns.days_to_return', 'last_age.last_age_week') }}

),

final as (

    {%- for entity_type in ['all', 'marketplace', 'category'] %}
    {%- set entity_id = "'all'" if entity_type == 'all'
        else "coalesce(" ~ entity_type ~ ", 'unknown')" %}

    select
        source,
        '{{ entity_type }}' as entity_type,
        {{ entity_id }} as entity_id,
        sale_month,
        age_week,
        min(first_sale_date) as first_sale_date,
        {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from parts
    group by
        source,
        {%- if entity_type != 'all' %}
        {{ entity_id }},
        {%- endif %}
        sale_month,
        age_week
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

)

select * from final
