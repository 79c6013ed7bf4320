-- flagged_orders: the recent orders with a line of high risk are there, counts, costs and gains are
-- those of their lines, ranks are whole, and a High Returner is one by what was known at the order

with flagged as (

    select * from {{ ref('flagged_orders') }}

),

lines as (

    select * from {{ ref('int_flagged_lines') }}

),

scores as (

    select * from {{ ref('order_return_scores') }}

),

order_lines as (

    select * from {{ ref('order_lines') }} where is_sale

),

-- counted again from the scores
wanted as (

    select
        scores.source,
        scores.order_id,
        sum(scores.expected_cost) as expected_cost,
        count(*) as order_lines,
        sum(case when scores.risk_band = 'high' then 1 else 0 end) as high_risk_lines
    from scores
    inner join order_lines
        on
            scores.source = order_lines.source
            and scores.order_line_id = order_lines.order_line_id
    where
        scores.is_out_of_sample
        and {{ days_between('scores.ordered_date', 'scores.as_of_date') }}
        < {{ policy_value('flagged_days') }}
    group by scores.source, scores.order_id

),

gains as (

    select
        source,
        order_id,
        sum(gain) as gain,
        count(*) as actions
    from (
        select
            lines.source,
            lines.order_id,
            order_lines.product_id,
            lines.recommended_action,
            max(lines.expected_gain) as gain
        from lines
        inner join flagged
            on
                lines.source = flagged.source
                and lines.order_id = flagged.order_id
        inner join order_lines
            on
                lines.source = order_lines.source
                and lines.order_line_id = order_lines.order_line_id
        where
            lines.recommended_action <> 'ship'
            and lines.is_actionable = flagged.is_actionable
        group by
            lines.source, lines.order_id, order_lines.product_id, lines.recommended_action
    ) as actions
    group by source, order_id

),

earlier as (

    select
        flagged.source,
        flagged.order_id,
        count(distinct returns.order_line_id) as returned_lines
    from flagged
    inner join order_lines
        on
            flagged.source = order_lines.source
            and flagged.customer_id = order_lines.customer_id
            and flagged.ordered_date > order_lines.ordered_date
    inner join {{ ref('returns') }} as returns
        on
            order_lines.source = returns.source
            and order_lines.order_line_id = returns.order_line_id
            and coalesce(cast(returns.returned_at as date), order_lines.ordered_date)
            < flagged.ordered_date
    group by flagged.source, flagged.order_id

),

broken as (

    select
        'an order with a line of high risk is not there' as problem,
        wanted.source,
        wanted.order_id as example
    from wanted
    left join flagged
        on
            wanted.source = flagged.source
            and wanted.order_id = flagged.order_id
    where wanted.high_risk_lines > 0 and flagged.order_id is null

    union all

    select
        'not the sums of its lines' as problem,
        flagged.source,
        flagged.order_id as example
    from flagged
    left join wanted
        on
            flagged.source = wanted.source
            and flagged.order_id = wanted.order_id
    where
        wanted.order_id is null
        or flagged.order_lines <> wanted.order_lines
        or flagged.high_risk_lines <> wanted.high_risk_lines
        or flagged.expected_cost is distinct from wanted.expected_cost

    union all

    select
        'an action counts more than once for a product of the order' as problem,
        flagged.source,
        flagged.order_id as example
    from flagged
    inner join gains
        on
            flagged.source = gains.source
            and flagged.order_id = gains.order_id
    where flagged.expected_gain <> gains.gain or flagged.actions <> gains.actions

    union all

    -- counted again from the returns of the customer's earlier orders
    select
        'a High Returner who had sent back less before the order' as problem,
        flagged.source,
        flagged.order_id as example
    from flagged
    left join earlier
        on
            flagged.source = earlier.source
            and flagged.order_id = earlier.order_id
    where
        flagged.reason like '%High Returner'
        and coalesce(earlier.returned_lines, 0) < {{ policy_value('flagged_returned_lines') }}

    union all

    select
        'a rule of the checkout after the order' as problem,
        lines.source,
        lines.order_id as example
    from lines
    inner join {{ ref('return_actions') }} as actions
        on
            lines.source = actions.source
            and lines.recommended_action = actions.action
    group by lines.source, lines.order_id
    having max(case when actions.stage = 'fulfilment' then 1 else 0 end) = 0

    union all

    select
        'ranks are not 1 to the number of orders' as problem,
        source,
        cast(is_actionable as string) as example
    from flagged
    group by source, is_actionable
    having min(money_rank) <> 1 or max(money_rank) <> count(distinct money_rank)

)

select * from broken
