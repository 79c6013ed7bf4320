-- segment_migrations: of every segment all customers go somewhere, and those who go into the as-of
-- date are in customer_segments

with migrations as (

    select * from {{ ref('segment_migrations') }}

),

leaving as (

    select
        source,
        known_on,
        from_segment,
        sum(share) as share,
        sum(customers) as customers,
        max(from_customers) as from_customers
    from migrations
    group by source, known_on, from_segment

),

arriving as (

    select
        source,
        to_segment,
        sum(customers) as customers
    from migrations
    where known_on = as_of_date
    group by source, to_segment

),

segments as (

    select
        source,
        segment_name,
        count(*) as customers
    from {{ ref('customer_segments') }}
    group by source, segment_name

),

broken as (

    select
        'the shares of an earlier segment add up to 1' as claim,
        source,
        cast(known_on as string) || ' ' || from_segment as example
    from leaving
    where abs(share - 1) > 0.000000001 or customers <> from_customers

    union all

    select
        'nobody arrives in a segment that does not have him' as claim,
        arriving.source,
        arriving.to_segment as example
    from arriving
    left join segments
        on
            arriving.source = segments.source
            and arriving.to_segment = segments.segment_name
    where segments.source is null or arriving.customers > segments.customers

)

select * from broken
