-- customer_churn: everybody who bought within the look-back is scored once where there is a model,
-- and the contributions add up to the probability

with scores as (

    select * from {{ ref('customer_churn') }}

),

customers as (

    select * from {{ ref('int_customer_histories') }}
    where is_current and recency_days < {{ policy_value('rfm_lookback_days') }}

),

champions as (

    select * from {{ ref('model_runs') }} where task = 'churn' and is_champion

),

duplicated_keys as (

    select
        'one row per source and customer_id' as claim,
        source,
        customer_id as example
    from scores
    group by source, customer_id
    having count(*) > 1

),

unscored as (

    select
        'every recent customer is scored where there is a model' as claim,
        customers.source,
        customers.customer_id as example
    from customers
    inner join champions
        on customers.source = champions.source
    left join scores
        on
            customers.source = scores.source
            and customers.customer_id = scores.customer_id
    where
        scores.forest_probability is null
        or scores.driver_1_sentence is null
        or scores.recency_days <> customers.recency_days

),

unequal_sums as (

    select
        'base and contributions add up to the log-odds' as claim,
        source,
        customer_id as example
    from scores
    where
        abs(
            logistic_probability
            - 1 / (
                1 + exp(
                    -base_log_odds - recency_contribution - frequency_contribution
                    - tenure_contribution - basket_contribution - returns_contribution
                )
            )
        ) > 0.000000001

),

final as (

    select * from duplicated_keys

    union all

    select * from unscored

    union all

    select * from unequal_sums

)

select * from final
