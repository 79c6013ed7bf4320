-- Lines ordered lately with what the model said of them before anybody knew. A line that the model
-- has learnt from, or that had no model but a base rate, says nothing about anybody.

with order_lines as (

    select * from {{ ref('order_lines') }}
    where is_sale and age_days < {{ policy_value('risk_score_days') }}

),

scores as (

    select * from {{ ref('order_return_scores') }}
    where is_out_of_sample and model_version not like 'base_rate%'

),

final as (

    select
        order_lines.source,
        order_lines.order_line_id,
        order_lines.order_id,
        order_lines.seller_id,
        coalesce(order_lines.marketplace, 'unknown') as marketplace,
        coalesce(order_lines.category, 'unknown') as category,
        order_lines.age_days,
        scores.return_probability,
        scores.risk_band
    from order_lines
    inner join scores
        on
            order_lines.source = scores.source
            and order_lines.order_line_id = scores.order_line_id

)

select * from final
