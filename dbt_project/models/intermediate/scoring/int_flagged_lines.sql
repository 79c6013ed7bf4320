-- The lines of recent orders that somebody should look at, and what can still be done about them:
-- the rules that hold after an order is placed, asked again.

with scores as (

    select *
    from {{ ref('order_return_scores') }}
    where
        has_signal
        and is_out_of_sample
        and {{ days_between('ordered_date', 'as_of_date') }} < {{ policy_value('flagged_days') }}

),

-- what the rules ask of a line; from the first day that any source needs
carried as (

    select * from {{ ref('ml_return_scores') }}
    where ordered_date >= (select min(scores.ordered_date) from scores)

),

-- what was cancelled or could not be delivered needs no decision
order_lines as (

    select * from {{ ref('order_lines') }}
    where is_sale and ordered_date >= (select min(scores.ordered_date) from scores)

),

segments as (

    select * from {{ ref('customer_segments') }} where segment_name = 'High Returners'

),

products as (

    select * from {{ ref('products') }}

),

joined as (

    select
        scores.source,
        scores.order_line_id,
        scores.order_id,
        order_lines.customer_id,
        order_lines.ordered_at,
        scores.ordered_date,
        order_lines.delivered_at,
        scores.risk_band = 'high' as is_high_risk,
        segments.customer_id is not null as is_of_high_returner,
        scores.recommended_action as action_at_checkout,
        scores.model_version,
        scores.log_odds,
        scores.as_of_date,
        scores.return_probability,
        scores.is_out_of_sample,
        scores.has_signal,
        carried.marketplace,
        carried.category,
        carried.payment_method,
        carried.quantity,
        carried.ordered_amount,
        carried.has_size,
        carried.same_product_variants,
        carried.customer_return_rate,
        carried.customer_returned_lines_before,
        carried.product_return_rate,
        carried.discount_share,
        products.unit_cost,
        max(
            case
                when scores.risk_band = 'high' or segments.customer_id is not null then 1
                else 0
            end
        ) over (partition by scores.source, scores.order_id) as is_of_flagged_order
    from scores
    inner join carried
        on
            scores.source = carried.source
            and scores.order_line_id = carried.order_line_id
    inner join order_lines
        on
            scores.source = order_lines.source
            and scores.order_line_id = order_lines.order_line_id
    left join segments
        on
            order_lines.source = segments.source
            and order_lines.customer_id = segments.customer_id
    left join products
        on
            carried.source = products.source
            and carried.product_id = products.product_id

),

flagged as (

    select * from joined where is_of_flagged_order = 1

),

decided as (

    {{ return_decisions(
        columns=[
            'source', 'order_line_id', 'order_id', 'customer_id', 'ordered_at', 'ordered_date',
            'delivered_at', 'is_high_risk', 'is_of_high_returner', 'action_at_checkout',
            'return_probability', 'log_odds', 'model_version', 'ordered_amount', 'as_of_date',
        ],
        lines='flagged',
        actions='(select * from ' ~ ref('return_actions') ~ " where stage = 'fulfilment')",
        rates=ref('return_cost_rates'),
    ) | indent(4) }}

),

final as (

    select
        source,
        order_line_id,
        order_id,
        customer_id,
        ordered_at,
        ordered_date,
        is_high_risk,
        is_of_high_returner,
        delivered_at is null
        and {{ days_between('ordered_date', 'as_of_date') }}
        < {{ policy_value('flagged_actionable_days') }} as is_actionable,
        action_at_checkout,
        recommended_action,
        expected_gain,
        return_probability,
        log_odds,
        model_version,
        ordered_amount,
        loss_if_returned,
        expected_cost,
        as_of_date
    from decided

)

select * from final
