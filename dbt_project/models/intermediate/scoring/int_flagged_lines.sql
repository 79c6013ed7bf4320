-- The lines of recent orders that somebody should look at, and what can still be done about them:
-- the rules that hold after an order is placed, asked again. Nothing that happened after an order
-- has a say in whether it is here, delivery apart.

with scores as (

    select *
    from {{ ref('order_return_scores') }}
    where
        has_signal
        and is_out_of_sample
        and {{ days_between('ordered_date', 'as_of_date') }} < {{ policy_value('flagged_days') }}

),

-- what the rules ask of a line, and what its customer had bought before; from the first day that
-- any source needs
carried as (

    select
        source,
        order_line_id,
        product_id,
        marketplace,
        category,
        payment_method,
        quantity,
        ordered_amount,
        has_size,
        same_product_variants,
        customer_return_rate,
        customer_lines_before,
        customer_returned_lines_before,
        product_return_rate,
        discount_share
    from {{ ref('return_features') }}
    where ordered_date >= (select min(scores.ordered_date) from scores)

),

-- what was cancelled or could not be delivered needs no decision
order_lines as (

    select * from {{ ref('order_lines') }}
    where is_sale and ordered_date >= (select min(scores.ordered_date) from scores)

),

-- the segment that the customer had at the end of the month before the order
segments as (

    select
        assignments.source,
        assignments.customer_id,
        {{ month_start(dbt.dateadd('day', 1, 'assignments.as_of_date')) }} as month_start
    from {{ ref('int_segment_assignments') }} as assignments
    inner join {{ ref('int_segment_clusters') }} as clusters
        on
            assignments.source = clusters.source
            and assignments.as_of_date = clusters.as_of_date
            and assignments.cluster_id = clusters.cluster_id
    where
        extract(day from {{ dbt.dateadd('day', 1, 'assignments.as_of_date') }}) = 1
        and clusters.segment_name = 'High Returners'

),

limits as (

    select
        {{ policy_value('flagged_actionable_days') }} as actionable_days,
        {{ policy_value('flagged_returned_lines') }} as returned_lines,
        {{ policy_value('flagged_gain_multiple') }} as gain_multiple

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
        scores.risk_band = 'high' as is_high_risk,
        segments.customer_id is not null
        and carried.customer_returned_lines_before >= limits.returned_lines as is_of_high_returner,
        order_lines.delivered_at is null
        and {{ days_between('scores.ordered_date', 'scores.as_of_date') }} < limits.actionable_days
            as is_actionable,
        limits.gain_multiple,
        carried.customer_lines_before,
        scores.recommended_action as action_at_checkout,
        scores.model_version,
        scores.log_odds,
        scores.as_of_date,
        scores.return_probability,
        scores.is_out_of_sample,
        scores.has_signal,
        carried.product_id,
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
        products.unit_cost
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
            and {{ month_start('scores.ordered_date') }} = segments.month_start
    left join products
        on
            carried.source = products.source
            and carried.product_id = products.product_id
    cross join limits

),

watched as (

    select
        *,
        max(case when is_high_risk or is_of_high_returner then 1 else 0 end) over (
            partition by source, order_id
        ) as is_of_watched_order,
        max(case when is_actionable then 1 else 0 end) over (
            partition by source, order_id
        ) as is_of_open_order
    from joined

),

-- of an order that is still in the house, what acting gains may be reason enough
candidates as (

    select * from watched where is_of_watched_order = 1 or is_of_open_order = 1

),

decided as (

    {{ return_decisions(
        columns=[
            'source', 'order_line_id', 'order_id', 'customer_id', 'ordered_at', 'ordered_date',
            'product_id', 'is_high_risk', 'is_of_high_returner', 'is_actionable',
            'is_of_watched_order', 'is_of_open_order', 'customer_lines_before', 
            'customer_returned_lines_before', 'action_at_checkout', 'gain_multiple',
            'return_probability', 'log_odds', 'model_version', 'ordered_amount', 'as_of_date',
        ],
        lines='candidates',
        actions='(select * from ' ~ ref('return_actions') ~ " where stage = 'fulfilment')",
        rates=ref('return_cost_rates'),
    ) | indent(4) }}

),

-- one question answers for all lines of a product, so that an action counts once for each; of an
-- order that is partly delivered the rest counts
numbered as (

    select
        *,
        row_number() over (
            partition by source, order_id, product_id, recommended_action
            order by
                case when is_actionable then 0 else 1 end,
                expected_gain desc,
                return_probability desc,
                order_line_id
        ) as action_rank,
        case when is_actionable or is_of_open_order = 0 then expected_gain else 0 end as gain
    from decided

),

summed as (

    select
        *,
        case when action_rank = 1 then gain else 0 end as counted_gain,
        sum(case when action_rank = 1 then gain else 0 end) over (
            partition by source, order_id
        ) as order_gain,
        max(case when gain > 0 then best_least_gain end) over (
            partition by source, order_id
        ) as least_gain
    from numbered

),

worth as (

    select
        *,
        is_of_open_order = 1
        and coalesce(order_gain > 0 and order_gain >= gain_multiple * least_gain, false)
            as is_worth_acting
    from summed

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
        is_worth_acting,
        is_actionable,
        customer_lines_before,
        customer_returned_lines_before,
        action_at_checkout,
        recommended_action,
        expected_gain,
        cast(counted_gain as decimal(18, 4)) as counted_gain,
        return_probability,
        log_odds,
        model_version,
        ordered_amount,
        loss_if_returned,
        expected_cost,
        is_high_risk
        or is_of_high_returner
        or (is_worth_acting and counted_gain > 0) as is_explained,
        as_of_date
    from worth
    where is_of_watched_order = 1 or is_worth_acting

)

select * from final
