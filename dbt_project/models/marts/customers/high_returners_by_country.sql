with customer_segments as (

    select * from {{ ref('customer_segments') }}

),

customers as (

    select * from {{ ref('customers') }}

),

placed as (

    select
        customer_segments.source,
        coalesce(customers.country, 'unknown') as country,
        customer_segments.as_of_date,
        case when customer_segments.segment_name = 'High Returners' then 1 else 0 end
            as is_high_returner
    from customer_segments
    inner join customers
        on
            customer_segments.source = customers.source
            and customer_segments.customer_id = customers.customer_id

),

counted as (

    select
        source,
        country,
        as_of_date,
        count(*) as customers,
        sum(is_high_returner) as high_returners
    from placed
    group by source, country, as_of_date

),

shared as (

    select
        *,
        cast(high_returners as double) / customers as high_returner_share,
        cast(sum(high_returners) over (partition by source) as double)
        / sum(customers) over (partition by source) as source_share,
        {{ interval_z() }} as z
    from counted

),

-- Wilson's interval: it never leaves 0..1 and is honest for a handful of customers
bounded as (

    select
        *,
        (
            high_returner_share + z * z / (2 * customers)
            - z * sqrt(
                high_returner_share * (1 - high_returner_share) / customers
                + z * z / (4 * cast(customers as double) * customers)
            )
        ) / (1 + z * z / customers) as raw_share_lo,
        (
            high_returner_share + z * z / (2 * customers)
            + z * sqrt(
                high_returner_share * (1 - high_returner_share) / customers
                + z * z / (4 * cast(customers as double) * customers)
            )
        ) / (1 + z * z / customers) as raw_share_hi
    from shared

),

final as (

    select
        source,
        country,
        customers,
        cast(high_returners as bigint) as high_returners,
        high_returner_share,
        greatest(raw_share_lo, 0) as share_lo,
        least(raw_share_hi, 1) as share_hi,
        source_share,
        cast(high_returners as double)
        / nullif(sum(high_returners) over (partition by source), 0) as share_of_high_returners,
        case
            when customers * source_share < {{ policy_value('country_min_expected') }}
                then 'insufficient data'
            when raw_share_lo > source_share then 'more than elsewhere'
            when raw_share_hi < source_share then 'fewer than elsewhere'
            else 'as elsewhere'
        end as evidence,
        as_of_date
    from bounded

)

select * from final
