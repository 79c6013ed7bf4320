-- drift_features: moved lines beyond quiet weeks and the score follow from what stands beside them,
-- a q-value is never below its p-value, and what is not compared says why

with features as (

    select * from {{ ref('drift_features') }}

)

select
    source,
    batch,
    feature
from features
where
    (
        outcome in ('compared', 'disappeared', 'appeared', 'type changed')
        and excess_share is not null
    ) <> (p_value is not null)
    or (p_value is not null) <> (drift_score is not null)
    or (p_value is not null) <> (q_value is not null)
    or q_value < p_value - 1e-12
    or abs(excess_share - greatest(moved_share - coalesce(quiet_limit, 0), 0)) > 2e-9
    or abs(
        drift_score - case when q_value <= 0.05 then 100 * importance * excess_share else 0 end
    ) > 2e-3
    or severity is null
    or sentence is null
