{{ config(materialized='view') }}

-- The four features of RFM-R on their scale of logarithms and logits, the same numbers for the fit
-- in Python and the assignment in SQL. Six decimals, so that engines agree on them.

with snapshots as (

    select * from {{ ref('int_customer_snapshots') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

-- a rate of exactly 0 or 1 has no logit: one in a thousand is the least that is told from none
bounded as (

    select
        *,
        least(greatest(recent_return_rate, 0.001), 0.999) as bounded_return_rate,
        greatest(cast(recent_monetary as double), 0) as bounded_monetary
    from snapshots

),

final as (

    select
        bounded.source,
        bounded.as_of_date,
        bounded.customer_id,
        bounded.is_current,
        bounded.is_sampled,
        {{ days_between('sources.first_event_date', 'bounded.as_of_date') }} + 1
        >= {{ policy_value('segment_lookback_days') }} as has_full_lookback,
        bounded.recency_days,
        bounded.recent_frequency,
        bounded.recent_monetary,
        bounded.recent_return_rate,
        round(ln(1 + bounded.recency_days), 6) as recency_feature,
        round(ln(1 + bounded.recent_frequency), 6) as frequency_feature,
        round(ln(1 + bounded.bounded_monetary), 6) as monetary_feature,
        round(ln(bounded.bounded_return_rate / (1 - bounded.bounded_return_rate)), 6)
            as return_rate_feature
    from bounded
    inner join sources
        on bounded.source = sources.source

)

select * from final
