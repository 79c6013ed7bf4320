-- Customers of the look-back by the nearest centroid; who bought last before it has been inactive
-- for so long that nothing needs to be computed.

with assignments as (

    select * from {{ ref('int_segment_assignments') }} where is_current

),

clusters as (

    select * from {{ ref('int_segment_clusters') }}

),

snapshots as (

    select * from {{ ref('int_customer_snapshots') }} where is_current

),

customers as (

    select * from {{ ref('customers') }} where order_count > 0

),

inactive_name as (

    select segment_name
    from {{ ref('policy_segment_names') }}
    where priority = 1

),

segmented_sources as (

    select distinct source from assignments

),

clustered as (

    select
        snapshots.source,
        snapshots.customer_id,
        assignments.cluster_id,
        clusters.segment_name,
        snapshots.recency_days,
        snapshots.recent_frequency as frequency,
        snapshots.recent_monetary as monetary,
        snapshots.recent_line_count as line_count,
        snapshots.recent_returned_line_count as returned_line_count,
        snapshots.recent_effective_exposure as effective_exposure,
        snapshots.recent_return_rate as return_rate,
        snapshots.as_of_date
    from snapshots
    inner join assignments
        on
            snapshots.source = assignments.source
            and snapshots.customer_id = assignments.customer_id
    inner join clusters
        on
            assignments.source = clusters.source
            and assignments.as_of_date = clusters.as_of_date
            and assignments.cluster_id = clusters.cluster_id

),

before_lookback as (

    select
        customers.source,
        customers.customer_id,
        cast(null as bigint) as cluster_id,
        inactive_name.segment_name,
        {{ days_between(
            'coalesce(customers.last_kept_ordered_at, customers.last_ordered_at)',
            'customers.as_of_date'
        ) }} as recency_days,
        0 as frequency,
        cast(0 as decimal(18, 4)) as monetary,
        0 as line_count,
        0 as returned_line_count,
        cast(0 as decimal(18, 6)) as effective_exposure,
        cast(null as double) as return_rate,
        customers.as_of_date
    from customers
    inner join segmented_sources
        on customers.source = segmented_sources.source
    cross join inactive_name
    left join snapshots
        on
            customers.source = snapshots.source
            and customers.customer_id = snapshots.customer_id
    where snapshots.customer_id is null

),

united as (

    select * from clustered

    union all

    select * from before_lookback

),

final as (

    select
        source,
        customer_id,
        cluster_id,
        segment_name,
        cast(recency_days as bigint) as recency_days,
        cast(frequency as bigint) as frequency,
        cast(monetary as decimal(18, 4)) as monetary,
        cast(line_count as bigint) as line_count,
        cast(returned_line_count as bigint) as returned_line_count,
        cast(effective_exposure as decimal(18, 6)) as effective_exposure,
        return_rate,
        as_of_date
    from united

)

select * from final
