-- customer_segments_business: the customers of customer_segments, with their money and flags

with business as (

    select * from {{ ref('customer_segments_business') }}

),

segments as (

    select
        customer_segments.source,
        customer_segments.customer_id,
        customer_segments.segment_name,
        customers.kept_amount
    from {{ ref('customer_segments') }} as customer_segments
    left join {{ ref('customers') }} as customers
        on
            customer_segments.source = customers.source
            and customer_segments.customer_id = customers.customer_id

),

broken as (

    select
        'one row per source and customer_id' as claim,
        source,
        customer_id as example
    from business
    group by source, customer_id
    having count(*) > 1

    union all

    select
        'the same customers, with their flag and their money' as claim,
        coalesce(business.source, segments.source) as source,
        coalesce(business.customer_id, segments.customer_id) as example
    from business
    full outer join segments
        on
            business.source = segments.source
            and business.customer_id = segments.customer_id
    where
        business.customer_id is null
        or segments.customer_id is null
        or business.kept_amount <> segments.kept_amount
        or business.is_whale <> (segments.segment_name = 'VIP Whales')
        or business.is_inactive <> (segments.segment_name = 'Churned/Inactive')
        or business.is_high_returner <> (segments.segment_name = 'High Returners')

)

select * from broken
