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
    left join entities as sources
        on
            order_lines.source = sources.source
            and sources.entity_type = 'source'
    left join entities as customers
        on
            order_lines.source = customers.source
            and order_lines.customer_id = customers.entity_id
            and customers.entity_type = 'customer'
    left join entities as products
        on
            order_lines.source = products.source
            and order_lines.product_id = products.entity_id
            and products.entity_type = 'product'
    left join entities as sellers
        on
            order_lines.source = sellers.source
            and order_lines.seller_id = sellers.entity_id
            and sellers.entity_type = 'seller'
    left join entities as categories
        on
            order_lines.source = categories.source
            and order_lines.category = categories.entity_id
            and categories.entity_type = 'category'
    left join entities as brands
        on
            order_lines.source = brands.source
            and order_lines.brand = brands.entity_id
            and brands.entity_type = 'brand'
    left join undated_returns
        on
            order_lines.source = undated_returns.source
            and order_lines.order_line_id = undated_returns.order_line_id

),

-- lines of one order and day were bought in one go
orders as (

    select
        source,
        order_id,
        day_no,
        count(*) as basket_lines,
        sum(ordered_quantity) as basket_units,
        sum(ordered_amount) as basket_value,
        min(order_line_id) as first_line_id
    from numbered
    group by source, order_id, day_no

),

-- only where there are several lines can some be alike
mixed_lines as (

    select
        numbered.source,
        numbered.order_id,
        numbered.day_no,
        numbered.product_no,
        numbered.category_no,
        coalesce(numbered.size, '') || '/' || coalesce(numbered.colour, '') as variant
    from numbered
    inner join orders
        on
            numbered.source = orders.source
            and numbered.order_id = orders.order_id
            and numbered.day_no = orders.day_no
    where orders.basket_lines > 1

),

repeated_products as (

    select
        source,
        order_id,
        day_no,
        product_no,
        count(*) as line_count
    from mixed_lines
    group by source, order_id, day_no, product_no
    having count(*) > 1

),

same_products as (

    select
        mixed_lines.source,
        mixed_lines.order_id,
        mixed_lines.day_no,
        mixed_lines.product_no,
        max(repeated_products.line_count) as line_count,
        count(distinct mixed_lines.variant) as variant_count
    from mixed_lines
    inner join repeated_products
        on
            mixed_lines.source = repeated_products.source
            and mixed_lines.order_id = repeated_products.order_id
            and mixed_lines.day_no = repeated_products.day_no
            and mixed_lines.product_no = repeated_products.product_no
    group by
        mixed_lines.source, mixed_lines.order_id, mixed_lines.day_no, mixed_lines.product_no

),

same_categories as (

    select
        source,
        order_id,
        day_no,
        category_no,
        count(*) as line_count
    from mixed_lines
    where category_no is not null
    group by source, order_id, day_no, category_no
    having count(*) > 1

),

joined as (

    select
        numbered.*,
        orders.basket_lines,
        orders.basket_units,
        orders.basket_value,
        numbered.order_line_id = orders.first_line_id as is_first_of_order,
        coalesce(same_products.line_count, 1) as same_product_lines,
        coalesce(same_products.variant_count, 1) as same_product_variants,
        case when numbered.category_no is not null then coalesce(same_categories.line_count, 1) end
            as same_category_lines,
        case
            when numbered.dated_return_day_no is not null then numbered.dated_return_day_no
            when numbered.has_undated_return then numbered.day_no + {{ window_days }}
        end as returned_day_no,
        case
            when numbered.cancelled_day_no is not null
                then greatest(numbered.cancelled_day_no, numbered.day_no)
            when not numbered.is_sale then numbered.day_no + {{ window_days }}
        end as gone_day_no
    from numbered
    inner join orders
        on
            numbered.source = orders.source
            and numbered.order_id = orders.order_id
            and numbered.day_no = orders.day_no
    left join same_products
        on
            numbered.source = same_products.source
            and numbered.order_id = same_products.order_id
            and numbered.day_no = same_products.day_no
            and numbered.product_no = same_products.product_no
    left join same_categories
        on
            numbered.source = same_categories.source
            and numbered.order_id = same_categories.order_id
            and numbered.day_no = same_categories.day_no
            and numbered.category_no = same_categories.category_no

),

final as (

    select
        source,
        order_line_id,
        source_no,
        customer_no,
        product_no,
        seller_no,
        category_no,
        brand_no,
        day_no,
        case when returned_day_no <= as_of_day_no then returned_day_no end as returned_day_no,
        case when gone_day_no <= as_of_day_no then gone_day_no end as gone_day_no,
        delivered_day_no,
        is_late,
        unit_price,
        is_first_of_order,
        cast(basket_lines as bigint) as basket_lines,
        cast(basket_units as bigint) as basket_units,
        cast(basket_value as decimal(18, 4)) as basket_value,
        cast(same_product_lines as bigint) as same_product_lines,
        cast(same_product_variants as bigint) as same_product_variants,
        cast(same_category_lines as bigint) as same_category_lines
    from joined

)

select * from final
