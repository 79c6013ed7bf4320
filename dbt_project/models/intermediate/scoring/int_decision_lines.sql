-- What acting would have been worth: a sample of the orders whose outcome is known, scored by
-- models that had not learnt from them.

{% set window_days = var('return_window_days') | int -%}

with scores as (

    select
        *,
        1 / (1 + exp(-margin)) as return_probability
    from {{ ref('ml_return_scores') }}
    where is_out_of_sample

),

features as (

    select * from {{ ref('return_features') }}
    where
        label_return_class in ('kept', 'returned', 'open')
        and label_is_returned is not null
        and {{ days_between('ordered_date', 'as_of_date') }} >= {{ window_days }}

),

counted as (

    select
        source,
        count(*) as line_count
    from features
    group by source

),

-- whole orders, drawn by hash; of more lines than are wanted a share
sampled as (

    select
        features.source,
        features.order_line_id,
        features.label_is_returned,
        features.as_of_date,
        {{ hash_share('features.order_id') }} as draw,
        {{ policy_value('decision_sample_lines') }} / cast(counted.line_count as double)
            as sample_share
    from features
    inner join counted
        on features.source = counted.source

),

products as (

    select * from {{ ref('products') }}

),

return_costs as (

    select * from {{ ref('int_line_return_costs') }} where order_line_id is not null

),

lines as (

    select
        scores.*,
        products.unit_cost,
        true as has_signal,
        sampled.label_is_returned,
        sampled.as_of_date,
        coalesce(return_costs.return_cost_mid, 0) as return_cost,
        -- two hundred groups of whole orders
        cast(floor(sampled.draw * 1000003) as bigint) % 200 as order_group
    from scores
    inner join sampled
        on
            scores.source = sampled.source
            and scores.order_line_id = sampled.order_line_id
    left join products
        on
            scores.source = products.source
            and scores.product_id = products.product_id
    left join return_costs
        on
            scores.source = return_costs.source
            and scores.order_line_id = return_costs.order_line_id
    where sampled.draw < sampled.sample_share

),

decided as (

    {{ return_decisions(
        columns=[
            'source', 'order_line_id', 'order_group', 'return_probability', 'label_is_returned',
            'return_cost', 'as_of_date',
        ],
        lines='lines',
        actions=ref('return_actions'),
        rates=ref('return_cost_rates'),
    ) | indent(4) }}

),

-- where nothing can be done acting is doing nothing
final as (

    select
        source,
        order_line_id,
        order_group,
        return_probability,
        label_is_returned,
        best_action,
        coalesce(best_gain, 0) as expected_profit,
        cast(
            round(
                case
                    when best_action is null then 0
                    when label_is_returned then best_prevented_share * return_cost
                    else -best_lost_sale_share * margin_amount
                end - coalesce(best_action_cost, 0),
                4
            ) as decimal(18, 4)
        ) as realised_profit,
        as_of_date
    from decided

)

select * from final
