-- Every line is scored by the model that was in use when it was ordered.

with scores as (

    select
        *,
        1 / (1 + exp(-margin)) as return_probability
    from {{ ref('ml_return_scores') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

thresholds as (

    select
        {{ policy_value('return_medium_risk_percent') }} as medium_percent,
        {{ policy_value('return_high_risk_percent') }} as high_percent

),

final as (

    select
        scores.source,
        scores.order_line_id,
        scores.return_probability,
        scores.margin as log_odds,
        case
            when 100 * scores.return_probability >= thresholds.high_percent then 'high'
            when 100 * scores.return_probability >= thresholds.medium_percent then 'medium'
            else 'low'
        end as risk_band,
        scores.model_version,
        scores.is_out_of_sample,
        sources.as_of_date
    from scores
    inner join sources
        on scores.source = sources.source
    cross join thresholds

)

select * from final
