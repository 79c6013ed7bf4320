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
    or batches.estimated_cost <> batches.extra_returns_cost + batches.action_cost
    or batches.severity is null
    or batches.sentence is null
