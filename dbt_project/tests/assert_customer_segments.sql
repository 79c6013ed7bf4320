-- customer_segments: every customer who bought is in exactly one segment, that of the nearest
-- centroid, and equal customers are in equal segments

{% set names = segment_features() -%}

with segments as (

    select * from {{ ref('customer_segments') }}

),

segmented_sources as (

    select distinct source from segments

),

buyers as (

    select
        customers.source,
        customers.customer_id
    from {{ ref('customers') }} as customers
    inner join segmented_sources
        on customers.source = segmented_sources.source
    where customers.order_count > 0

),

features as (

    select * from {{ ref('int_segment_features') }} where is_current

),

centroids as (

    select * from {{ ref('segment_centroids') }} where known_on = as_of_date

),

-- the plain way: the distance of every customer to every centroid
distances as (

    select
        features.source,
        features.customer_id,
        centroids.cluster_id,
        centroids.segment_name,
        {%- for feature in names %}
        {{ '+ ' if not loop.first }}power(
            (
                least(
                    greatest(features.{{ feature }}_feature, centroids.{{ feature }}_lower),
                    centroids.{{ feature }}_upper
                ) - centroids.{{ feature }}_mean
            ) / centroids.{{ feature }}_sd - centroids.{{ feature }}_score,
            2
        )
        {%- endfor %} as distance
    from features
    inner join centroids
        on features.source = centroids.source

),

nearest as (

    select
        source,
        customer_id,
        min(distance) as distance
    from distances
    group by source, customer_id

),

broken as (

    select
        'one row per source and customer_id' as claim,
        source,
        customer_id as example
    from segments
    group by source, customer_id
    having count(*) > 1

    union all

    select
        'every customer who bought has a segment' as claim,
        coalesce(buyers.source, segments.source) as source,
        coalesce(buyers.customer_id, segments.customer_id) as example
    from buyers
    full outer join segments
        on
            buyers.source = segments.source
            and buyers.customer_id = segments.customer_id
    where buyers.customer_id is null or segments.customer_id is null

    union all

    -- equally near centroids may differ in the last digit between the two ways to compute
    select
        'the cluster is the nearest one' as claim,
        segments.source,
        segments.customer_id as example
    from segments
    inner join nearest
        on
            segments.source = nearest.source
            and segments.customer_id = nearest.customer_id
    left join distances
        on
            segments.source = distances.source
            and segments.customer_id = distances.customer_id
            and segments.cluster_id = distances.cluster_id
    where
        distances.distance is null
        or distances.distance > nearest.distance + 0.000000001
        or distances.segment_name <> segments.segment_name

    union all

    select
        'equal customers, equal segments' as claim,
        features.source,
        min(features.customer_id) as example
    from features
    inner join segments
        on
            features.source = segments.source
            and features.customer_id = segments.customer_id
    group by
        {%- for feature in names %}
        features.{{ feature }}_feature,
        {%- endfor %}
        features.source
    having count(distinct segments.cluster_id) > 1

)

select * from broken
