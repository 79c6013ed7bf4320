-- the points of a seller make its risk_score, and every factor is compared on its worse side

with factors as (

    select * from {{ ref('seller_risk_factors') }}

),

sums as (

    select
        source,
        seller_id,
        max(risk_score) as risk_score,
        min(risk_score) as least_score,
        cast(sum(points) as double) as points,
        sum(weight) as weight
    from factors
    group by source, seller_id

)

select
    'risk_score = 100 * points / weights' as claim,
    source,
    seller_id as example
from sums
where
    weight > 0
    and (
        risk_score <> least_score
        or abs(cast(risk_score as double) - 100 * points / weight) > 0.0051
    )

union all

select
    'points only for what is worse than the peers, and a sentence for everything' as claim,
    source,
    seller_id || ' ' || factor as example
from factors
where
    sentence is null
    or (points > 0 and worse = 'higher' and lo <= peer_value)
    or (points > 0 and worse = 'lower' and hi >= peer_value)
