-- What acting would have been worth: a sample of the orders whose outcome is known, scored by
-- models that had not learnt from them, and by two simpler probabilities that were known as well.

{% set window_days = var('return_window_days') | int -%}

with scores as (

    select
        source,
        order_line_id,
        return_probability
    from {{ ref('order_return_scores') }}
    where is_out_of_sample

),

-- as in training: what came back later than the return window counts as kept
features as (

    select
        *,
        label_is_returned
        and coalesce(
            {{ days_between('ordered_date', 'label_returned_date') }} <= {{ window_days }}, true
        ) as came_back
    from {{ ref('return_features') }}
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
        features.came_back,
        features.category_return_rate,
        features.product_id,
        features.marketplace,
        features.category,
        features.payment_method,
        features.quantity,
        features.ordered_amount,
        features.has_size,
        features.same_product_variants,
        features.customer_return_rate,
        features.customer_returned_lines_before,
        features.product_return_rate,
        features.discount_share,
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

-- what of all earlier lines had come back before the day of the order
usual as (

    select
        lines.source,
        lines.order_line_id,
        cast(days.returned_line_count_before as double) / nullif(days.line_count_before, 0)
            as base_rate
    from {{ ref('int_feature_lines') }} as lines
    inner join {{ ref('int_entity_days') }} as days
        on
            lines.source_no = days.entity_no
            and lines.day_no = days.day_no
    where days.entity_type = 'source'

),

known as (

    select
        sampled.*,
        scores.return_probability,
        products.unit_cost,
        true as is_out_of_sample,
        true as has_signal,
        usual.base_rate,
        coalesce(return_costs.return_cost_mid, 0) as return_cost,
        -- two hundred groups of whole orders
        cast(floor(sampled.draw * 1000003) as bigint) % 200 as order_group
    from scores
    inner join sampled
        on
            scores.source = sampled.source
            and scores.order_line_id = sampled.order_line_id
    left join usual
        on
            scores.source = usual.source
            and scores.order_line_id = usual.order_line_id
    left join products
        on
            scores.source = products.source
            and sampled.product_id = products.product_id
    left join return_costs
        on
            scores.source = return_costs.source
            and scores.order_line_id = return_costs.order_line_id
    where sampled.draw < sampled.sample_share

),

judges as (

    select 'model' as judge
    union all
    select 'category rate' as judge
    union all
    select 'base rate' as judge

),

-- what nothing is known of before is taken to be like the source
lines as (

    select
        known.source,
        known.order_line_id,
        known.order_group,
        known.marketplace,
        known.category,
        known.payment_method,
        known.quantity,
        known.ordered_amount,
        known.unit_cost,
        known.has_size,
        known.same_product_variants,
        known.customer_return_rate,
        known.customer_returned_lines_before,
        known.product_return_rate,
        known.discount_share,
        known.is_out_of_sample,
        known.has_signal,
        known.came_back,
        known.return_cost,
        known.as_of_date,
        judges.judge,
        case judges.judge
            when 'model' then known.return_probability
            when 'category rate' then coalesce(known.category_return_rate, known.base_rate, 0)
            else coalesce(known.base_rate, 0)
        end as return_probability
    from known
    cross join judges

),

decided as (

    {{ return_decisions(
        columns=[
            'source', 'order_line_id', 'judge', 'order_group', 'return_probability', 'came_back',
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
        judge,
        order_group,
        return_probability,
        came_back,
        best_action,
        recommended_action <> 'ship' as is_recommended,
        coalesce(best_gain, 0) as expected_profit,
        cast(
            case
                when best_action is not null and came_back
                    then round(best_prevented_share * return_cost, 4)
                else 0
            end as decimal(18, 4)
        ) as prevented_cost,
        cast(
            case
                when best_action is not null and not came_back
                    then round(best_lost_sale_share * margin_amount, 4)
                else 0
            end + coalesce(best_action_cost, 0) as decimal(18, 4)
        ) as spent,
        as_of_date
    from decided

)

select * from final
