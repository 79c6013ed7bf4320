with order_lines as (

    select
        *,
        {{ completion_stratum(1) }} as stratum_1
    from {{ ref('order_lines') }}
    where is_sale and age_days < {{ policy_value('report_days') }}

),

reference_rates as (

    select * from {{ ref('int_reference_rates') }} where is_current

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
        order_lines.maturity_se,
        -- what a line is expected to bring back by its age, and later: as return_rates has it
        cast(
            coalesce(reference_rates.reference_rate, 1) * order_lines.maturity as decimal(9, 6)
        ) as expected_rate,
        cast(
            coalesce(reference_rates.reference_rate, 1) * (1 - order_lines.maturity)
            as decimal(9, 6)
        ) as open_rate,
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
    left join reference_rates
        on
            order_lines.source = reference_rates.source
            and order_lines.stratum_1 = reference_rates.stratum_1
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
        {%- for column, share in [
            ('effective_exposure', 'maturity'), ('exposure_error', 'maturity_se'),
            ('expected_returns', 'expected_rate'), ('open_returns', 'open_rate'),
        ] %}
        cast(
            sum(
                case when comparable_lines = 1 then cast({{ share }} as decimal(9, 6)) else 0 end
            ) as decimal(18, 6)
        ) as {{ column }},
        {%- endfor %}
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
