with orders as (

    select * from {{ ref('orders') }} where customer_id is not null and is_sale

),

frequency_scores as (

    select * from {{ ref('policy_frequency_scores') }}

),

segments as (

    select * from {{ ref('policy_rfm_segments') }}

),

recent_orders as (

    select *
    from orders
    where {{ days_between('ordered_date', 'as_of_date') }} < {{ policy_value('rfm_lookback_days') }}

),

-- recency counts from the last order of which something was kept, else from the last order
measured as (

    select
        source,
        customer_id,
        as_of_date,
        {{ days_between(
            'coalesce(max(case when is_kept then ordered_date end), max(ordered_date))',
            'as_of_date'
        ) }} as recency_days,
        sum(case when is_kept then 1 else 0 end) as frequency,
        sum(kept_amount) as monetary,
        count(*) as order_count,
        sum(quantity) as quantity,
        sum(returned_quantity) as returned_quantity
    from recent_orders
    group by source, customer_id, as_of_date

),

-- rank() gives equal values equal ranks, so that no score depends on the order of rows
ranked as (

    select
        *,
        rank() over (partition by source order by recency_days desc) as recency_rank,
        rank() over (partition by source order by monetary) as monetary_rank,
        count(*) over (partition by source) as customer_count
    from measured

),

scored as (

    select
        ranked.*,
        frequency_scores.f_score,
        {{ fifth('recency_rank', 'customer_count') }} as r_score,
        {{ fifth('monetary_rank', 'customer_count') }} as m_score
    from ranked
    left join frequency_scores
        on ranked.frequency between frequency_scores.orders_min and frequency_scores.orders_max

),

-- fewer than five different scores: too many equal customers for quintiles to mean much
judged as (

    select
        source,
        count(distinct r_score) < 5 or count(distinct m_score) < 5 as is_degenerate
    from scored
    group by source

),

final as (

    select
        scored.source,
        scored.customer_id,
        cast(scored.recency_days as bigint) as recency_days,
        cast(scored.frequency as bigint) as frequency,
        cast(scored.monetary as decimal(18, 4)) as monetary,
        cast(scored.order_count as bigint) as order_count,
        cast(scored.quantity as bigint) as quantity,
        cast(scored.returned_quantity as bigint) as returned_quantity,
        cast(scored.returned_quantity as double) / scored.quantity as return_rate,
        cast(scored.r_score as bigint) as r_score,
        cast(scored.f_score as bigint) as f_score,
        cast(scored.m_score as bigint) as m_score,
        segments.rfm_segment,
        judged.is_degenerate,
        scored.as_of_date
    from scored
    inner join judged
        on scored.source = judged.source
    left join segments
        on
            scored.r_score between segments.r_min and segments.r_max
            and scored.f_score + scored.m_score between segments.fm_min and segments.fm_max

)

select * from final
