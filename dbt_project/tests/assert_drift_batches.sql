-- drift_batches: the score of a batch is that of the feature that moved most, its counts are those
-- of its features, and the costs add up

with batches as (

    select * from {{ ref('drift_batches') }}

),

features as (

    select
        source,
        batch,
        max(drift_score) as drift_score,
        count(p_value) as compared_features
    from {{ ref('drift_features') }}
    group by source, batch

)

select
    batches.source,
    batches.batch
from batches
full outer join features
    on
        batches.source = features.source
        and batches.batch = features.batch
where
    batches.batch is null
    or features.batch is null
    or coalesce(batches.drift_score, -1) <> coalesce(features.drift_score, -1)
    or batches.compared_features <> features.compared_features
    or (batches.drift_score > 0) <> (batches.top_feature is not null)
    or batches.estimated_cost <> coalesce(batches.extra_returns_cost, 0) + batches.action_cost
    or (batches.extra_returns is null) <> (batches.extra_returns_lo is null)
    or (batches.extra_returns is null)
    <> (batches.return_rate is null or batches.baseline_return_rate is null)
    or abs(
        batches.extra_returns
        - (batches.return_rate - batches.baseline_return_rate) * batches.lines
    ) > 1e-6 * batches.lines
    or (batches.extra_returns_lo > 0) <> (batches.extra_returns_cost > 0)
    or (batches.p_value is null) <> (batches.compared_features = 0)
    or batches.severity is null
    or batches.sentence is null
