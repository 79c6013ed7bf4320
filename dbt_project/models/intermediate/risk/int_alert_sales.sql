-- What sellers, products and the categories of each marketplace sold week by week, and how much of
-- it had come back by the end of that week and of each later one, until it is complete. A line that
-- was cancelled in a later week counts as sold and kept: at the end of its own nobody knew.

{%- set last = alert_lags() %}

with order_lines as (

    select * from {{ ref('order_lines') }} where return_class not in ('unknown', 'undelivered')

),

-- only what is dated can be replayed
sources as (

    select * from {{ ref('int_sources') }} where has_returns

),

calendar as (

    select
        source,
        {{ week_number(dbt.dateadd('day', 1, 'as_of_date')) }} - 1 as last_week
    from sources

),

placed as (

    select
        order_lines.source,
        order_lines.seller_id,
        order_lines.product_id,
        coalesce(order_lines.marketplace, 'unknown') as marketplace,
        coalesce(order_lines.category, 'unknown') as category,
        {{ week_number('order_lines.ordered_date') }} as week_no,
        case
            when order_lines.return_count > 0
                then
                {{ week_number('order_lines.first_returned_at') }}
                - {{ week_number('order_lines.ordered_date') }}
        end as came_after
    from order_lines
    inner join calendar
        on
            order_lines.source = calendar.source
            and {{ week_number('order_lines.ordered_date') }} <= calendar.last_week
            and {{ week_number('order_lines.ordered_date') }}
            > calendar.last_week - {{ policy_value('alert_history_weeks') }}
    where
        order_lines.is_sale
        or {{ week_number('order_lines.cancelled_at') }}
        > {{ week_number('order_lines.ordered_date') }}

),

-- of so few lines nothing can be said in any week
products as (

    select
        source,
        product_id
    from placed
    group by source, product_id
    having count(*) >= {{ policy_value('alert_min_product_lines') }}

),

entities as (

    select
        'cell' as entity_type,
        concat(placed.marketplace, ' / ', placed.category) as entity_id,
        placed.*
    from placed

    union all

    select
        'seller' as entity_type,
        placed.seller_id as entity_id,
        placed.*
    from placed
    where placed.seller_id is not null

    union all

    select
        'product' as entity_type,
        placed.product_id as entity_id,
        placed.*
    from placed
    inner join products
        on
            placed.source = products.source
            and placed.product_id = products.product_id

),

final as (

    select
        source,
        entity_type,
        entity_id,
        marketplace,
        category,
        week_no,
        min(seller_id) as first_seller_id,
        max(seller_id) as last_seller_id,
        {%- for lag in range(last + 1) %}
        cast(
            sum(case when came_after <= {{ lag }} then 1 else 0 end) as bigint
        ) as came_{{ lag }},
        {%- endfor %}
        cast(count(*) as bigint) as lines
    from entities
    group by source, entity_type, entity_id, marketplace, category, week_no

)

select * from final
