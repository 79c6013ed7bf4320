-- Recent orders to look at before they are shipped, those first that are worth most.

with lines as (

    select
        *,
        row_number() over (
            partition by source, order_id
            order by expected_gain desc, return_probability desc, order_line_id
        ) as gain_rank,
        row_number() over (
            partition by source, order_id order by return_probability desc, order_line_id
        ) as risk_rank
    from {{ ref('int_flagged_lines') }}

),

orders as (

    select
        source,
        order_id,
        max(customer_id) as customer_id,
        min(ordered_at) as ordered_at,
        min(ordered_date) as ordered_date,
        max(case when is_actionable then 1 else 0 end) = 1 as is_actionable,
        max(case when is_of_high_returner then 1 else 0 end) = 1 as is_of_high_returner,
        count(*) as order_lines,
        sum(case when is_high_risk then 1 else 0 end) as high_risk_lines,
        max(return_probability) as highest_probability,
        max(case when risk_rank = 1 then order_line_id end) as riskiest_order_line_id,
        cast(sum(cast(return_probability as decimal(18, 12))) as double) as expected_returned_lines,
        sum(ordered_amount) as ordered_amount,
        sum(expected_cost) as expected_cost,
        max(case when gain_rank = 1 then recommended_action end) as recommended_action,
        max(case when gain_rank = 1 then order_line_id end) as action_order_line_id,
        max(case when gain_rank = 1 then expected_gain end) as expected_gain,
        max(as_of_date) as as_of_date
    from lines
    group by source, order_id

),

-- open ones first, by what acting gains, then by what returns are expected to cost
ranked as (

    select
        *,
        row_number() over (
            partition by source, is_actionable
            order by expected_gain desc, coalesce(expected_cost, 0) desc, order_id
        ) as money_rank
    from orders

),

final as (

    select
        source,
        order_id,
        customer_id,
        ordered_at,
        ordered_date,
        is_actionable,
        case
            when high_risk_lines > 0 and is_of_high_returner then 'high risk, High Returner'
            when high_risk_lines > 0 then 'high risk'
            else 'High Returner'
        end as reason,
        cast(order_lines as bigint) as order_lines,
        cast(high_risk_lines as bigint) as high_risk_lines,
        highest_probability,
        riskiest_order_line_id,
        expected_returned_lines,
        cast(ordered_amount as decimal(18, 4)) as ordered_amount,
        cast(expected_cost as decimal(18, 4)) as expected_cost,
        recommended_action,
        action_order_line_id,
        cast(expected_gain as decimal(18, 4)) as expected_gain,
        cast(money_rank as bigint) as money_rank,
        concat(
            cast(order_lines as string),
            case when order_lines = 1 then ' line, ' else ' lines, ' end,
            cast(cast(expected_returned_lines as decimal(18, 1)) as string),
            ' expected to come back',
            coalesce(
                concat(' at a cost of ', cast(cast(expected_cost as decimal(18, 2)) as string)), ''
            ),
            case when is_of_high_returner then '; the customer often sends things back' else '' end,
            case
                when recommended_action = 'ship' then '; nothing to do about it pays: ship'
                else
                    concat(
                        '; ', replace(recommended_action, '_', ' '), ' is worth ',
                        cast(cast(expected_gain as decimal(18, 2)) as string)
                    )
            end
        ) as sentence,
        as_of_date
    from ranked

)

select * from final
