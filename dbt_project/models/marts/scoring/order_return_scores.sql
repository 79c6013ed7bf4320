-- Every line is scored by the model that was in use when it was ordered; what to do about it
-- follows from the score, the cost of a return and the rules of policy_return_actions.

with scores as (

    select
        *,
        1 / (1 + exp(-margin)) as return_probability
    from {{ ref('ml_return_scores') }}

),

products as (

    select * from {{ ref('products') }}

),

-- whether models told returns from sales in what came after them; if nobody could test it, no
signals as (

    select
        source,
        max(value) = 1 as has_signal
    from {{ ref('ml_return_models') }}
    where record = 'run' and name = 'has_signal'
    group by source

),

sources as (

    select
        sources.source,
        sources.as_of_date,
        coalesce(signals.has_signal, false) as has_signal
    from {{ ref('int_sources') }} as sources
    left join signals
        on sources.source = signals.source

),

thresholds as (

    select
        {{ policy_value('return_medium_risk_percent') }} as medium_percent,
        {{ policy_value('return_high_risk_percent') }} as high_percent

),

lines as (

    select
        scores.*,
        products.unit_cost,
        sources.as_of_date,
        sources.has_signal,
        case
            when not sources.has_signal then 'no signal'
            when 100 * scores.return_probability >= thresholds.high_percent then 'high'
            when 100 * scores.return_probability >= thresholds.medium_percent then 'medium'
            else 'low'
        end as risk_band
    from scores
    inner join sources
        on scores.source = sources.source
    left join products
        on
            scores.source = products.source
            and scores.product_id = products.product_id
    cross join thresholds

),

decided as (

    {{ return_decisions(
        columns=[
            'source', 'order_line_id', 'order_id', 'ordered_date', 'ordered_amount',
            'return_probability', 'margin as log_odds', 'risk_band', 'model_version',
            'is_out_of_sample', 'has_signal', 'as_of_date',
        ],
        lines='lines',
        actions=ref('return_actions'),
        rates=ref('return_cost_rates'),
        is_best_asked=false,
    ) | indent(4) }}

),

final as (

    select
        source,
        order_line_id,
        order_id,
        ordered_date,
        ordered_amount,
        return_probability,
        log_odds,
        risk_band,
        loss_if_returned,
        expected_cost,
        margin_amount,
        recommended_action,
        action_stage,
        expected_gain,
        model_version,
        is_out_of_sample,
        has_signal,
        as_of_date
    from decided

)

select * from final
