-- customer_rfm: every recent customer has exactly one segment, and equal values have equal scores

with recent_customers as (

    select
        source,
        customer_id
    from {{ ref('orders') }}
    where
        customer_id is not null
        and is_sale
        and {{ days_between('ordered_date', 'as_of_date') }}
        < {{ policy_value('rfm_lookback_days') }}
    group by source, customer_id

),

scored as (

    select * from {{ ref('customer_rfm') }}

),

duplicated_keys as (

    select
        'one row per source and customer_id' as claim,
        source,
        customer_id as example
    from scored
    group by source, customer_id
    having count(*) > 1

),

missing_customers as (

    select
        'every recent customer has a segment' as claim,
        recent_customers.source,
        recent_customers.customer_id as example
    from recent_customers
    left join scored
        on
            recent_customers.source = scored.source
            and recent_customers.customer_id = scored.customer_id
    where scored.rfm_segment is null

),

split_recencies as (

    select
        'equal recency, equal score' as claim,
        source,
        cast(recency_days as string) as example
    from scored
    group by source, recency_days
    having count(distinct r_score) > 1

),

split_monetaries as (

    select
        'equal monetary value, equal score' as claim,
        source,
        cast(monetary as string) as example
    from scored
    group by source, monetary
    having count(distinct m_score) > 1

)

select * from duplicated_keys
union all
select * from missing_customers
union all
select * from split_recencies
union all
select * from split_monetaries
