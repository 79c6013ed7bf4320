with assignments as (

    select * from {{ ref('int_segment_assignments') }} where is_sampled

),

clusters as (

    select * from {{ ref('int_segment_clusters') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

fitted_days as (

    select distinct
        source,
        as_of_date
    from clusters

),

steps as (

    select
        source,
        as_of_date,
        lag(as_of_date) over (partition by source order by as_of_date) as previous_date
    from fitted_days

),

named as (

    select
        assignments.source,
        assignments.customer_id,
        assignments.as_of_date,
        clusters.segment_name
    from assignments
    inner join clusters
        on
            assignments.source = clusters.source
            and assignments.as_of_date = clusters.as_of_date
            and assignments.cluster_id = clusters.cluster_id

),

moves as (

    select
        steps.source,
        steps.previous_date,
        steps.as_of_date,
        earlier.segment_name as from_segment,
        later.segment_name as to_segment,
        count(*) as customers
    from steps
    inner join named as earlier
        on
            steps.source = earlier.source
            and steps.previous_date = earlier.as_of_date
    inner join named as later
        on
            steps.source = later.source
            and steps.as_of_date = later.as_of_date
            and earlier.customer_id = later.customer_id
    group by
        steps.source, steps.previous_date, steps.as_of_date, earlier.segment_name,
        later.segment_name

),

final as (

    select
        moves.source,
        moves.as_of_date as known_on,
        moves.previous_date as previously_known_on,
        moves.from_segment,
        moves.to_segment,
        moves.customers,
        cast(
            sum(moves.customers) over (
                partition by moves.source, moves.as_of_date, moves.from_segment
            ) as bigint
        ) as from_customers,
        cast(moves.customers as double)
        / sum(moves.customers) over (
            partition by moves.source, moves.as_of_date, moves.from_segment
        ) as share,
        sources.as_of_date
    from moves
    inner join sources
        on moves.source = sources.source

)

select * from final
