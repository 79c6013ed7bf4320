-- What sellers, products and the categories of each marketplace (cells) sold week by week, and how
-- much of it had come back by the end of that week and of each later one, until it is complete.
-- A line that was cancelled in a later week counts as sold and kept: at the end of its own nobody
-- knew.

{%- set last = alert_lags() %}

with order_lines as (

    select * from {{ ref('order_lines') }} where return_class not in ('unknown', 'undelivered')

),

-- only what is dated can be replayed
sources as (

    select * from {{ ref('int_sources') }} where has_returns

),

entities as (

    select * from {{ ref('int_alert_entities') }}

),

calendar as (

    select
        source,
        {{ week_number(dbt.dateadd('day', 1, 'as_of_date')) }} - 1 as last_week
    from sources

),

placed as (

    select
        cells.entity_no as cell_no,
        sellers.entity_no as seller_no,
        products.entity_no as product_no,
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
    inner join entities as cells
        on
            order_lines.source = cells.source
            and cells.entity_type = 'category of a marketplace'
            and coalesce(order_lines.marketplace, 'unknown') = cells.marketplace
            and coalesce(order_lines.category, 'unknown') = cells.category
    left join entities as sellers
        on
            order_lines.source = sellers.source
            and sellers.entity_type = 'seller'
            and order_lines.seller_id = sellers.entity_id
    left join entities as products
        on
            order_lines.source = products.source
            and products.entity_type = 'product'
            and order_lines.product_id = products.entity_id
    where
        order_lines.is_sale
        or {{ week_number('order_lines.cancelled_at') }}
        > {{ week_number('order_lines.ordered_date') }}

),

-- of so few lines nothing can be said in any week
products as (

    select product_no
    from placed
    where product_no is not null
    group by product_no
    having count(*) >= {{ policy_value('alert_min_product_lines') }}

),

final as (

    {%- for number, condition in [
        ('cell_no', 'placed.cell_no is not null'), ('seller_no', 'placed.seller_no is not null'),
        ('product_no', 'placed.product_no in (select product_no from products)'),
    ] %}

    select
        cast(placed.{{ number }} as bigint) as entity_no,
        cast(placed.cell_no as bigint) as cell_no,
        placed.week_no,
        cast(min(placed.seller_no) as bigint) as first_seller_no,
        cast(max(placed.seller_no) as bigint) as last_seller_no,
        {%- for lag in range(last + 1) %}
        cast(count(case when placed.came_after <= {{ lag }} then 1 end) as bigint)
            as came_{{ lag }},
        {%- endfor %}
        cast(count(*) as bigint) as lines
    from placed
    where {{ condition }}
    group by placed.{{ number }}, {{ 'placed.cell_no, ' if number != 'cell_no' }}placed.week_no
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

)

select * from final
