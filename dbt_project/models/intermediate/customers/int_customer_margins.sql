-- What the purchases of each customer after the first left, before and after returns. Costs of
-- orders that came back as a whole are in it, so that they are spread over what was kept.

with histories as (

    select * from {{ ref('int_customer_histories') }} where is_current

),

order_lines as (

    select * from {{ ref('order_lines') }} where customer_id is not null and is_sale

),

products as (

    select * from {{ ref('products') }}

),

return_costs as (

    select * from {{ ref('int_line_return_costs') }} where order_line_id is not null

),

-- where there is no unit cost or no cost of returns, shares of the money stand in (policy)
valued as (

    select
        order_lines.source,
        order_lines.customer_id,
        order_lines.ordered_date,
        order_lines.net_amount,
        order_lines.is_mature,
        coalesce(order_lines.maturity, 0) as maturity,
        products.unit_cost is not null as has_unit_cost,
        order_lines.returned_quantity = 0 or return_costs.return_cost_mid is not null
            as has_return_cost,
        coalesce(
            order_lines.net_amount
            - cast(order_lines.quantity * products.unit_cost as decimal(18, 4)),
            order_lines.net_amount * {{ policy_value('value_margin_percent') }} / 100
        ) as margin_before,
        coalesce(
            order_lines.refund_amount
            - cast(order_lines.returned_quantity * products.unit_cost as decimal(18, 4)),
            order_lines.refund_amount * {{ policy_value('value_margin_percent') }} / 100
        )
        + coalesce(
            return_costs.return_cost_mid,
            order_lines.refund_amount * {{ policy_value('value_return_cost_percent') }} / 100
        ) as return_loss
    from order_lines
    left join products
        on
            order_lines.source = products.source
            and order_lines.product_id = products.product_id
    left join return_costs
        on
            order_lines.source = return_costs.source
            and order_lines.order_line_id = return_costs.order_line_id

),

-- what returns cost of all that is sold, from lines that nothing more will come back of
loss_rates as (

    select
        source,
        coalesce(
            cast(sum(return_loss) as double) / nullif(cast(sum(net_amount) as double), 0), 0
        ) as loss_rate
    from valued
    where is_mature
    group by source

),

-- of a young line the returns still to come are expected
expected as (

    select
        valued.*,
        cast(
            (1 - valued.maturity) * coalesce(loss_rates.loss_rate, 0)
            * cast(valued.net_amount as double) as decimal(18, 4)
        ) as open_loss
    from valued
    left join loss_rates
        on valued.source = loss_rates.source

),

final as (

    select
        histories.source,
        histories.customer_id,
        histories.is_sampled,
        histories.draw,
        histories.purchase_day_count - 1 as repeat_count,
        histories.tenure_days - histories.recency_days as last_repeat_days,
        histories.tenure_days,
        histories.as_of_date,
        cast(
            coalesce(sum(case when expected.ordered_date > {{ dbt.dateadd(
                'day', '-1 * histories.tenure_days', 'histories.as_of_date'
            ) }} then expected.margin_before end), 0) as decimal(18, 4)
        ) as repeat_margin_before,
        cast(
            coalesce(sum(case when expected.ordered_date > {{ dbt.dateadd(
                'day', '-1 * histories.tenure_days', 'histories.as_of_date'
            ) }} then expected.margin_before - expected.return_loss - expected.open_loss end), 0)
            as decimal(18, 4)
        ) as repeat_margin_after,
        coalesce(
            sum(case when expected.has_unit_cost then expected.net_amount else 0 end)
            = sum(expected.net_amount),
            false
        ) as has_unit_costs,
        coalesce(min(case when expected.has_return_cost then 1 else 0 end) = 1, false)
            as has_return_costs
    from histories
    left join expected
        on
            histories.source = expected.source
            and histories.customer_id = expected.customer_id
    group by
        histories.source,
        histories.customer_id,
        histories.is_sampled,
        histories.draw,
        histories.purchase_day_count,
        histories.tenure_days,
        histories.recency_days,
        histories.as_of_date

)

select * from final
