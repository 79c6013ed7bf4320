-- high_returners_by_country: the countries add up, and the interval holds the share

with countries as (

    select * from {{ ref('high_returners_by_country') }}

),

totals as (

    select
        source,
        sum(customers) as customers,
        sum(high_returners) as high_returners
    from countries
    group by source

),

segments as (

    select
        source,
        count(*) as customers,
        sum(case when segment_name = 'High Returners' then 1 else 0 end) as high_returners
    from {{ ref('customer_segments') }}
    group by source

),

broken as (

    select
        'the countries add up to all customers' as claim,
        segments.source,
        cast(segments.customers as string) as example
    from segments
    left join totals
        on segments.source = totals.source
    where
        totals.source is null
        or totals.customers <> segments.customers
        or totals.high_returners <> segments.high_returners

    union all

    select
        'the interval holds the share' as claim,
        source,
        country as example
    from countries
    where
        high_returner_share < share_lo - 0.000000001
        or high_returner_share > share_hi + 0.000000001

)

select * from broken
