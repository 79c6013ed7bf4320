-- Every order line in whole numbers: who and what it is of, the days on which something became
-- known of it, and what else was ordered with it.

{% set window_days = var('return_window_days') | int -%}

with order_lines as (

    select * from {{ ref('order_lines') }}

),

entities as (

    select * from {{ ref('int_feature_entities') }}

),

-- a return, a cancellation and a failed delivery without a date are known when the return window is
-- over; an undated return only if it names its line, since which sale another one means later
-- sales may change
undated_returns as (

    select
        source,
        order_line_id
    from {{ ref('returns') }}
    where
        order_line_id is not null
        and returned_at is null
        and match_method in ('order_line', 'line_status')
    group by source, order_line_id

),

numbered as (

    select
        order_lines.source,
        order_lines.order_line_id,
        order_lines.order_id,
        sources.entity_no as source_no,
        customers.entity_no as customer_no,
        products.entity_no as product_no,
        sellers.entity_no as seller_no,
        categories.entity_no as category_no,
        brands.entity_no as brand_no,
        {{ day_number('order_lines.ordered_date') }} as day_no,
        {{ day_number('order_lines.as_of_date') }} as as_of_day_no,
        {{ day_number('order_lines.first_returned_at') }} as dated_return_day_no,
        undated_returns.order_line_id is not null as has_undated_return,
        {{ day_number('order_lines.cancelled_at') }} as cancelled_day_no,
        case
            when order_lines.delivered_at is not null and order_lines.promised_at is not null
                then {{ day_number('order_lines.delivered_at') }}
        end as delivered_day_no,
        order_lines.delivered_at > order_lines.promised_at as is_late,
        order_lines.is_sale,
        order_lines.size,
        order_lines.colour,
        order_lines.unit_price,
        order_lines.ordered_quantity,
        order_lines.ordered_amount
    from order_lines
    {%- for entity_type, column in history_entities().items() %}
    {%- set members = 'categories' if entity_type == 'category' else entity_type ~ 's' %}
    left join entities as {{ members }}
        on
            order_lines.source = {{ members }}.source
            and {{ members }}.entity_type = '{{ entity_type }}'
            {%- if column %}
            and order_lines.{{ column }} = {{ members }}.entity_id
            {%- endif %}
    {%- endfor %}
    left join undated_returns
        on
            order_lines.source = undated_returns.source
            and order_lines.order_line_id = undated_returns.order_line_id

),

-- what carries the number of an order and its day was bought in one go
basket as (

    select
        *,
        case
            when dated_return_day_no is not null then dated_return_day_no
            when has_undated_return then day_no + {{ window_days }}
        end as returned_day_no,
        case
            when cancelled_day_no is not null then greatest(cancelled_day_no, day_no)
            when not is_sale then day_no + {{ window_days }}
        end as gone_day_no,
        order_line_id = min(order_line_id) over whole_order as is_first_of_order,
        count(*) over whole_order as basket_lines,
        sum(ordered_quantity) over whole_order as basket_units,
        sum(ordered_amount) over whole_order as basket_value,
        count(*) over same_product as same_product_lines,
        count(*) over same_category as same_category_lines
    from numbered
    window
        whole_order as (
            partition by source, order_id, day_no
            order by product_no
            rows between unbounded preceding and unbounded following
        ),
        same_product as (
            partition by source, order_id, day_no
            order by product_no
            range between current row and current row
        ),
        same_category as (partition by source, order_id, day_no, category_no)

),

-- few lines stand beside the same product: only those are looked at for sizes and colours
variants as (

    select
        source,
        order_id,
        day_no,
        product_no,
        count(distinct coalesce(size, '') || '/' || coalesce(colour, '')) as variant_count
    from basket
    where same_product_lines > 1
    group by source, order_id, day_no, product_no

),

final as (

    select
        basket.source,
        basket.order_line_id,
        basket.source_no,
        basket.customer_no,
        basket.product_no,
        basket.seller_no,
        basket.category_no,
        basket.brand_no,
        basket.day_no,
        case when basket.returned_day_no <= basket.as_of_day_no then basket.returned_day_no end
            as returned_day_no,
        case when basket.gone_day_no <= basket.as_of_day_no then basket.gone_day_no end
            as gone_day_no,
        basket.delivered_day_no,
        basket.is_late,
        basket.unit_price,
        basket.is_first_of_order,
        cast(basket.basket_lines as bigint) as basket_lines,
        cast(basket.basket_units as bigint) as basket_units,
        cast(basket.basket_value as decimal(18, 4)) as basket_value,
        cast(basket.same_product_lines as bigint) as same_product_lines,
        cast(coalesce(variants.variant_count, 1) as bigint) as same_product_variants,
        cast(case when basket.category_no is not null then basket.same_category_lines end as bigint)
            as same_category_lines
    from basket
    left join variants
        on
            basket.source = variants.source
            and basket.order_id = variants.order_id
            and basket.day_no = variants.day_no
            and basket.product_no = variants.product_no

)

select * from final
