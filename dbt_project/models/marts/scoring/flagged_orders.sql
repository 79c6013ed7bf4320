-- Recent orders to look at before they are shipped, those first that are worth most.

with lines as (

    select
        *,
        row_number() over (
            partition by source, order_id
            order by counted_gain desc, return_probability desc, order_line_id
        ) as gain_rank,
        row_number() over (
            partition by source, order_id order by return_probability desc, order_line_id
        ) as risk_rank
    from {{ ref('int_flagged_lines') }}

),

sources as (

    select
        source,
        reporting_currency
    from {{ ref('int_sources') }}

),

actions as (

    select
        source,
        action,
        min(instruction) as instruction
    from {{ ref('return_actions') }}
    group by source, action

),

-- how often lines came back that stood out as these do, beside all lines whose outcome is known
lifts as (

    select
        source,
        avg(case when is_high_risk = 1 then cast(came_back as double) end)
        / nullif(avg(came_back), 0) as risk_lift,
        avg(
            case
                when is_high_risk = 0 and segment_name = 'High Returners'
                    then cast(came_back as double)
            end
        ) / nullif(avg(came_back), 0) as returner_lift
    from (
        select
            tests.*,
            case
                when
                    100 * tests.return_probability
                    >= {{ policy_value('return_high_risk_percent') }}
                    then 1
                else 0
            end as is_high_risk
        from {{ ref('int_return_tests') }} as tests
    ) as known
    group by source

),

main_reasons as (

    select
        source,
        order_line_id,
        sentence
    from {{ ref('order_return_reasons') }}
    where rank = 1

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
        max(customer_lines_before) as customer_lines_before,
        max(customer_returned_lines_before) as customer_returned_lines_before,
        count(*) as order_lines,
        sum(case when is_high_risk then 1 else 0 end) as high_risk_lines,
        max(return_probability) as highest_probability,
        max(case when risk_rank = 1 then order_line_id end) as riskiest_order_line_id,
        cast(sum(cast(return_probability as decimal(18, 12))) as double) as expected_returned_lines,
        sum(ordered_amount) as ordered_amount,
        sum(expected_cost) as expected_cost,
        max(
            case when gain_rank = 1 then case when counted_gain > 0 then recommended_action end end
        ) as action,
        max(case when gain_rank = 1 then order_line_id end) as action_order_line_id,
        sum(case when counted_gain > 0 then 1 else 0 end) as actions,
        sum(counted_gain) as expected_gain,
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

worded as (

    select
        ranked.*,
        sources.reporting_currency,
        actions.instruction,
        case
            when ranked.high_risk_lines > 0 then lifts.risk_lift
            when ranked.is_of_high_returner then lifts.returner_lift
        end as past_lift,
        coalesce(action_reasons.sentence, risk_reasons.sentence) as main_reason
    from ranked
    inner join sources
        on ranked.source = sources.source
    left join lifts
        on ranked.source = lifts.source
    left join actions
        on
            ranked.source = actions.source
            and ranked.action = actions.action
    left join main_reasons as action_reasons
        on
            ranked.source = action_reasons.source
            and ranked.action_order_line_id = action_reasons.order_line_id
    left join main_reasons as risk_reasons
        on
            ranked.source = risk_reasons.source
            and ranked.riskiest_order_line_id = risk_reasons.order_line_id

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
            when is_of_high_returner then 'High Returner'
            else 'worth acting'
        end as reason,
        past_lift,
        cast(order_lines as bigint) as order_lines,
        cast(high_risk_lines as bigint) as high_risk_lines,
        highest_probability,
        riskiest_order_line_id,
        expected_returned_lines,
        cast(ordered_amount as decimal(18, 4)) as ordered_amount,
        cast(expected_cost as decimal(18, 4)) as expected_cost,
        coalesce(action, 'ship') as recommended_action,
        action_order_line_id,
        cast(actions as bigint) as actions,
        cast(expected_gain as decimal(18, 4)) as expected_gain,
        cast(money_rank as bigint) as money_rank,
        concat(
            case when is_actionable then 'Expected back: ' else 'Was expected back: ' end,
            cast(cast(expected_returned_lines as decimal(18, 1)) as string), ' of ',
            cast(order_lines as string),
            case when order_lines = 1 then ' line' else ' lines' end,
            case
                when expected_cost is null then ''
                else concat(
                        ', at a cost of ', cast(cast(expected_cost as decimal(18, 2)) as string),
                        ' ', reporting_currency
                    )
            end,
            '.',
            case when main_reason is null then '' else concat(' ', main_reason, '.') end,
            case
                when is_of_high_returner and coalesce(main_reason, '') not like '%sent back%'
                    then
                    concat(
                        ' The customer had sent back ',
                        cast(customer_returned_lines_before as string), ' of ',
                        cast(customer_lines_before as string), ' earlier lines.'
                    )
                else ''
            end,
            case
                when high_risk_lines = 0 and is_of_high_returner and past_lift is not null
                    then
                    concat(
                        ' No line of it stands out to the model; lines like these came back ',
                        cast(cast(past_lift as decimal(18, 1)) as string),
                        ' times as often as all.'
                    )
                else ''
            end,
            case
                when not is_actionable
                    then ' It is delivered or too old to be stopped: to look back on.'
                when action is null then ' Nothing that can be done about it pays: ship it.'
                else
                    concat(
                        ' Do this: ', instruction, '; ',
                        case
                            when actions > 1
                                then
                                concat(
                                    'with ', cast(actions - 1 as string),
                                    ' more of the kind '
                                )
                            else ''
                        end,
                        'it is worth ', cast(cast(expected_gain as decimal(18, 2)) as string), ' ',
                        reporting_currency, '.'
                    )
            end
        ) as sentence,
        as_of_date
    from worded

)

select * from final
