-- segment_centroids: every fitted day is whole, every name follows from exactly one rule

with centroids as (

    select * from {{ ref('segment_centroids') }}

),

rules as (

    select * from {{ ref('policy_segment_names') }}

),

days as (

    select
        source,
        known_on,
        count(*) as clusters,
        max(cluster_id) as last_cluster,
        sum(pool_share) as pool_share
    from centroids
    group by source, known_on

),

stability as (

    select * from {{ ref('segment_stability') }} where is_used

),

broken as (

    select
        'the clusters of a day are numbered and their shares add up to 1' as claim,
        source,
        cast(known_on as string) as example
    from days
    where clusters <> last_cluster or abs(pool_share - 1) > 0.000001

    union all

    select
        'each fitted day stands in segment_stability' as claim,
        coalesce(days.source, stability.source) as source,
        cast(coalesce(days.known_on, stability.known_on) as string) as example
    from days
    full outer join stability
        on
            days.source = stability.source
            and days.known_on = stability.known_on
    where
        days.source is null
        or stability.source is null
        or days.clusters <> stability.cluster_count

    union all

    -- read without any of the code that names clusters
    select
        'inactive clusters kept no order, whales spend twice the typical buyer' as claim,
        source,
        cast(known_on as string) || ' ' || cast(cluster_id as string) as example
    from centroids
    where
        (segment_name = 'Churned/Inactive') <> (typical_orders < 0.5)
        or (segment_name = 'VIP Whales') <> (typical_orders >= 0.5 and spend_ratio >= 2)

    union all

    select
        'the last rule holds for everybody, and names are unique' as claim,
        'policy' as source,
        max(segment_name) as example
    from rules
    having
        count(distinct segment_name) <> count(*)
        or count(distinct priority) <> count(*)
        or max(
            case when at_least <= 0 and below is null and measure = 'order_ratio' then priority end
        ) <> max(priority)

)

select * from broken
