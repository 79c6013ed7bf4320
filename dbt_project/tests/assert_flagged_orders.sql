-- flagged_orders: the recent orders with a line of high risk are there, counts and costs are those
-- of their lines, and ranks are whole

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
