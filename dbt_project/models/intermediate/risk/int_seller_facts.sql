-- Per seller and category, what besides returns is counted in the window of the factors: ordered,
-- cancelled, delivered and late lines, cash on delivery, deep discounts.

with order_lines as (

    select * from {{ ref('order_lines') }}
    where
        seller_id is not null
        and age_days < {{ policy_value('risk_factor_window_days') }}

),

cod_methods as (

    select * from {{ ref('policy_cod_methods') }}

),

flagged as (

    select
        order_lines.source,
        order_lines.seller_id,
        coalesce(order_lines.category, 'unknown') as category,
        case when {{ is_due('order_lines') }} then 1 else 0 end as is_due,
        case
            when
                {{ is_due('order_lines') }}
                and order_lines.return_class in ('cancelled', 'undelivered')
                then 1
            else 0
        end as is_lost,
        case when order_lines.payment_method is not null then 1 else 0 end as has_payment,
        case when cod_methods.payment_method is not null then 1 else 0 end as is_cod,
        case when {{ has_known_delivery('order_lines') }} then 1 else 0 end as has_delivery,
        case
            when
                {{ has_known_delivery('order_lines') }}
                and coalesce(order_lines.delivered_at > order_lines.promised_at, true)
                then 1
            else 0
        end as is_late,
        case when order_lines.ordered_amount > 0 then 1 else 0 end as has_price,
        case
            when
                order_lines.ordered_amount > 0
                and 100 * cast(order_lines.discount_amount as double)
                >= {{ policy_value('risk_deep_discount_percent') }}
                * cast(order_lines.ordered_amount + order_lines.discount_amount as double)
                then 1
            else 0
        end as is_deep_discount
    from order_lines
    left join cod_methods
        on lower(order_lines.payment_method) = cod_methods.payment_method

),

final as (

    select
        source,
        seller_id,
        category,
        sum(is_due) as ordered_lines,
        sum(is_lost) as lost_lines,
        sum(has_payment) as payment_lines,
        sum(is_cod) as cod_lines,
        sum(has_delivery) as delivery_lines,
        sum(is_late) as late_lines,
        sum(has_price) as priced_lines,
        sum(is_deep_discount) as discount_lines
    from flagged
    group by source, seller_id, category

)

select * from final
