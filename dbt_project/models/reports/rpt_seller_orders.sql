with members as (

    select * from {{ ref('rpt_members') }} where dimension = 'seller' and member_key > 0

),

order_lines as (

    select * from {{ ref('order_lines') }} where age_days < {{ policy_value('report_days') }}

),

products as (

    select * from {{ ref('products') }}

),

scores as (

    select * from {{ ref('order_return_scores') }}

),

newest as (

    select
        order_lines.*,
        members.member_key as seller_key,
        row_number() over (
            partition by order_lines.source, order_lines.seller_id
            order by order_lines.ordered_at desc, order_lines.order_line_id
        ) as recency_rank
    from order_lines
    inner join members
        on
            order_lines.source = members.source
            and order_lines.seller_id = members.member_id

),

final as (

    select
        newest.source,
        newest.seller_key,
        newest.recency_rank,
        newest.order_line_id,
        newest.order_id,
        newest.ordered_date,
        newest.product_id,
        products.product_name,
        newest.category,
        newest.country,
        newest.quantity,
        newest.net_amount,
        newest.return_class,
        newest.returned_quantity,
        newest.refund_amount,
        newest.days_to_return,
        scores.return_probability,
        scores.risk_band,
        scores.recommended_action,
        newest.as_of_date
    from newest
    left join products
        on
            newest.source = products.source
            and newest.product_id = products.product_id
    left join scores
        on
            newest.source = scores.source
            and newest.order_line_id = scores.order_line_id
    where newest.recency_rank <= {{ policy_value('report_seller_lines') }}

)

select * from final
