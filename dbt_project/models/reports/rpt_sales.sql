with order_lines as (

    select * from {{ ref('order_lines') }}
    where is_sale and age_days < {{ policy_value('report_days') }}

),

scores as (

    select * from {{ ref('order_return_scores') }}

),

members as (

    select * from {{ ref('rpt_members') }}

),

-- what nobody can know says nothing: young lines without a curve, lines without a record
keyed as (

    select
        order_lines.source,
        order_lines.ordered_date,
        marketplaces.member_key as marketplace_key,
        sellers.member_key as seller_key,
        categories.member_key as category_key,
        case
            when order_lines.maturity is not null and order_lines.return_class <> 'unknown' then 1
            else 0
        end as comparable_lines,
        order_lines.returned_quantity,
        order_lines.maturity,
        order_lines.net_amount,
        order_lines.refund_amount,
        scores.expected_cost,
        scores.return_probability,
        order_lines.as_of_date
    from order_lines
    inner join members as marketplaces
        on
            order_lines.source = marketplaces.source
            and marketplaces.dimension = 'marketplace'
            and coalesce(order_lines.marketplace, '') = marketplaces.member_id
    inner join members as sellers
        on
            order_lines.source = sellers.source
            and sellers.dimension = 'seller'
            and coalesce(order_lines.seller_id, '') = sellers.member_id
    inner join members as categories
        on
            order_lines.source = categories.source
            and categories.dimension = 'category'
            and coalesce(order_lines.category, '') = categories.member_id
    left join scores
        on
            order_lines.source = scores.source
            and order_lines.order_line_id = scores.order_line_id

),

final as (

    select
        source,
        ordered_date as day,
        marketplace_key,
        seller_key,
        category_key,
        count(*) as lines,
        cast(sum(comparable_lines) as bigint) as comparable_lines,
        cast(
            sum(case when returned_quantity > 0 then comparable_lines else 0 end) as bigint
        ) as returned_lines,
        cast(
            sum(case when comparable_lines = 1 then maturity else 0 end) as decimal(18, 6)
        ) as effective_exposure,
        {{ money('sum(net_amount)') }} as net_amount,
        {{ money('sum(coalesce(refund_amount, 0))') }} as refund_amount,
        {{ money('sum(expected_cost)') }} as expected_cost,
        cast(
            sum(cast(round(return_probability, 6) as decimal(18, 6))) as decimal(18, 6)
        ) as predicted_returns,
        max(as_of_date) as as_of_date
    from keyed
    group by source, ordered_date, marketplace_key, seller_key, category_key

)

select * from final
