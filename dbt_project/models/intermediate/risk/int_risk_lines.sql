-- The sales that the risk marts look at, each with its place in the case mix.

with order_lines as (

    select * from {{ ref('order_lines') }}

),

sources as (

    select * from {{ ref('int_sources') }} where has_returns

),

customers as (

    select * from {{ ref('customers') }}

),

price_bands as (

    select * from {{ ref('policy_price_bands') }}

),

recent_lines as (

    select
        order_lines.source,
        order_lines.customer_id,
        order_lines.product_id,
        order_lines.seller_id,
        coalesce(order_lines.marketplace, 'unknown') as marketplace,
        coalesce(order_lines.category, 'unknown') as category,
        coalesce(order_lines.country, 'unknown') as country,
        order_lines.ordered_date,
        order_lines.age_days,
        order_lines.quantity,
        order_lines.net_amount,
        order_lines.returned_quantity,
        order_lines.maturity,
        order_lines.return_class,
        cast(customers.first_ordered_at as date) as first_ordered_date
    from order_lines
    inner join sources
        on order_lines.source = sources.source
    left join customers
        on
            order_lines.source = customers.source
            and order_lines.customer_id = customers.customer_id
    where order_lines.is_sale and order_lines.age_days < {{ policy_value('risk_history_days') }}

),

usual_prices as (

    select
        source,
        category,
        cast(sum(net_amount) as double) / sum(quantity) as unit_price
    from recent_lines
    group by source, category

),

-- what a unit cost in percent of the category's average; free goods have no price
priced as (

    select
        recent_lines.*,
        case
            when usual_prices.unit_price > 0
                then
                100 * cast(recent_lines.net_amount as double)
                / (recent_lines.quantity * usual_prices.unit_price)
            else 100
        end as price_percent,
        concat('quarter ', cast(ceil(extract(month from recent_lines.ordered_date) / 3) as int))
            as season,
        case
            when recent_lines.customer_id is null then 'guest'
            when recent_lines.first_ordered_date < recent_lines.ordered_date
                then 'returning'
            else 'new'
        end as customer_group
    from recent_lines
    inner join usual_prices
        on
            recent_lines.source = usual_prices.source
            and recent_lines.category = usual_prices.category

),

banded as (

    select
        priced.*,
        coalesce(price_bands.price_band, 'unknown') as price_band,
        -- what nobody can know says nothing: young lines without a curve, lines without a record
        priced.maturity is not null and priced.return_class <> 'unknown' as is_comparable
    from priced
    left join price_bands
        on
            priced.price_percent >= price_bands.price_min_percent
            and priced.price_percent < price_bands.price_max_percent

),

final as (

    select
        source,
        product_id,
        seller_id,
        marketplace,
        category,
        price_band,
        season,
        country,
        customer_group,
        ordered_date,
        age_days,
        net_amount,
        case when is_comparable then 1 else 0 end as comparable_lines,
        case when is_comparable and returned_quantity > 0 then 1 else 0 end as returned_lines,
        case when is_comparable then maturity else 0 end as maturity
    from banded

)

select * from final
