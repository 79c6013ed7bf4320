-- Everything that a model may know of an order line, as it was when the order was placed.

{% set entities = ['source', 'customer', 'product', 'seller', 'category', 'brand'] -%}
{% set counters = [
    'line_count', 'order_count', 'returned_line_count', 'price_total', 'rating_count',
    'rating_total', 'delivered_count', 'late_count', 'first_order_day', 'last_order_day',
    'last_return_day',
] -%}

with order_lines as (

    select * from {{ ref('order_lines') }}

),

lines as (

    select * from {{ ref('int_feature_lines') }}

),

-- the history of each entity on the day of the order; nothing yet on its first day
joined as (

    select
        lines.*,
        {%- for entity_type in entities %}
        {%- for counter in counters %}
        {{ entity_type }}_days.{{ counter }}_before as {{ entity_type }}_{{ counter }},
        {%- endfor %}
        {%- endfor %}
        order_lines.order_id,
        order_lines.product_id,
        order_lines.size is not null as has_size,
        order_lines.ordered_at,
        order_lines.ordered_date,
        order_lines.promised_at,
        order_lines.delivered_at,
        order_lines.category,
        order_lines.marketplace,
        order_lines.country,
        order_lines.channel,
        order_lines.payment_method,
        order_lines.customer_type,
        order_lines.ordered_quantity,
        order_lines.ordered_amount,
        order_lines.discount_amount,
        order_lines.return_class,
        order_lines.is_returned,
        order_lines.is_mature,
        order_lines.maturity,
        order_lines.as_of_date
    from lines
    inner join order_lines
        on
            lines.source = order_lines.source
            and lines.order_line_id = order_lines.order_line_id
    {%- for entity_type in entities %}
    left join {{ ref('int_entity_days') }} as {{ entity_type }}_days
        on
            lines.{{ entity_type }}_no = {{ entity_type }}_days.entity_no
            and lines.day_no = {{ entity_type }}_days.day_no
            and {{ entity_type }}_days.entity_type = '{{ entity_type }}'
    {%- endfor %}

),

-- what is usual in the source so far, known since its first return, rating or delivery
usual as (

    select
        *,
        case
            when source_returned_line_count > 0
                then cast(source_returned_line_count as double) / source_line_count
        end as source_return_rate,
        cast(source_rating_total as double) / nullif(source_rating_count, 0) as source_rating,
        cast(source_late_count as double) / nullif(source_delivered_count, 0) as source_late_share
    from joined

),

-- what has little history of its own is taken to be like its category, that like its source
smoothed as (

    select
        *,
        case
            when category_no is not null
                then
                    {{ smoothed(
                        'category_returned_line_count', 'category_line_count',
                        'source_return_rate', policy_value('category_prior_lines'),
                    ) }}
        end as category_return_rate
    from usual

),

final as (

    select
        source,
        order_line_id,
        order_id,
        product_id,
        ordered_at,
        ordered_date,
        ordered_amount,
        has_size,

        -- customer
        customer_no is null as is_guest,
        cast(case when customer_no is not null then coalesce(customer_order_count, 0) end as bigint)
            as customer_orders_before,
        cast(case when customer_no is not null then coalesce(customer_line_count, 0) end as bigint)
            as customer_lines_before,
        cast(
            case when customer_no is not null then coalesce(customer_returned_line_count, 0) end
            as bigint
        ) as customer_returned_lines_before,
        case
            when customer_no is not null
                then
                    {{ smoothed(
                        'customer_returned_line_count', 'customer_line_count',
                        'source_return_rate', policy_value('customer_prior_lines'),
                    ) }}
        end as customer_return_rate,
        cast(day_no - customer_first_order_day as bigint) as customer_days_since_first_order,
        cast(day_no - customer_last_order_day as bigint) as customer_days_since_order,
        cast(day_no - customer_last_return_day as bigint) as customer_days_since_return,
        case
            when customer_no is not null
                then
                    {{ smoothed(
                        'customer_rating_total', 'customer_rating_count',
                        'source_rating', policy_value('rating_prior_reviews'),
                    ) }}
        end as customer_rating,
        customer_type,

        -- product
        category,
        cast(coalesce(product_line_count, 0) as bigint) as product_lines_before,
        {{ smoothed(
            'product_returned_line_count', 'product_line_count',
            'coalesce(category_return_rate, source_return_rate)',
            policy_value('product_prior_lines'),
        ) }} as product_return_rate,
        cast(day_no - product_first_order_day as bigint) as product_days_since_first_sale,
        {{ smoothed(
            'product_rating_total', 'product_rating_count',
            'source_rating', policy_value('rating_prior_reviews'),
        ) }} as product_rating,
        category_return_rate,
        case
            when brand_no is not null
                then
                    {{ smoothed(
                        'brand_returned_line_count', 'brand_line_count',
                        'source_return_rate', policy_value('brand_prior_lines'),
                    ) }}
        end as brand_return_rate,

        -- seller
        cast(case when seller_no is not null then coalesce(seller_line_count, 0) end as bigint)
            as seller_lines_before,
        case
            when seller_no is not null
                then
                    {{ smoothed(
                        'seller_returned_line_count', 'seller_line_count',
                        'source_return_rate', policy_value('seller_prior_lines'),
                    ) }}
        end as seller_return_rate,
        case
            when seller_no is not null
                then
                    {{ smoothed(
                        'seller_rating_total', 'seller_rating_count',
                        'source_rating', policy_value('rating_prior_reviews'),
                    ) }}
        end as seller_rating,

        -- basket
        basket_lines,
        basket_units,
        cast(basket_value as double) as basket_value,
        cast(ordered_amount as double) / nullif(cast(basket_value as double), 0) as basket_share,
        same_product_lines,
        same_product_variants,
        same_category_lines,
        ordered_quantity as quantity,

        -- price
        cast(unit_price as double) as unit_price,
        cast(discount_amount as double)
        / nullif(cast(ordered_amount as double) + cast(discount_amount as double), 0)
            as discount_share,
        {{ price_to('product') }} as price_to_product,
        {{ price_to('category') }} as price_to_category,
        {{ price_to('customer') }} as price_to_customer,

        -- where and how it was bought
        marketplace,
        country,
        channel,
        payment_method,

        -- calendar
        cast(extract(month from ordered_date) as bigint) as order_month,
        cast({{ weekday('ordered_date') }} as bigint) as order_weekday,
        {{ weekday('ordered_date') }} >= 6 as is_weekend,
        case
            when ordered_at <> cast(ordered_date as timestamp)
                then cast(extract(hour from ordered_at) as bigint)
        end as order_hour,

        -- logistics
        case
            when seller_no is not null
                then
                    {{ smoothed(
                        'seller_late_count', 'seller_delivered_count',
                        'source_late_share', policy_value('seller_prior_lines'),
                    ) }}
        end as seller_late_share,
        cast({{ days_between('ordered_date', 'promised_at') }} as bigint) as promised_days,
        cast({{ days_between('ordered_date', 'delivered_at') }} as bigint) as delivery_days,
        cast({{ days_between('promised_at', 'delivered_at') }} as bigint) as days_late,
        is_late,

        -- what became of it: never a feature
        is_returned as label_is_returned,
        return_class as label_return_class,
        is_mature as label_is_mature,
        maturity as label_maturity,
        {{ date_of('returned_day_no') }} as label_returned_date,
        as_of_date
    from smoothed

)

select * from final
