-- The profile of each cluster, and the name that the first matching rule of policy_segment_names
-- gives it. The typical buyer is the mean, on the scale of logarithms, of the clusters that bought
-- something within the look-back.

with fits as (

    select * from {{ ref('ml_segment_fits') }}

),

rules as (

    select * from {{ ref('policy_segment_names') }}

),

centroids as (

    select
        source,
        as_of_date,
        cluster_id,
        max(pool_share) as pool_share,
        max(row_count) as row_count,
        {%- for feature in segment_features() %}
        max(case when feature = '{{ feature }}' then centroid end) as {{ feature }}_score,
        max(case when feature = '{{ feature }}' then centroid * sd + mean end)
            as {{ feature }}_level,
        {%- endfor %}
        max(inertia) as inertia
    from fits
    group by source, as_of_date, cluster_id

),

profiles as (

    select
        *,
        greatest(exp(recency_level) - 1, 0) as typical_recency_days,
        greatest(exp(frequency_level) - 1, 0) as typical_orders,
        greatest(exp(monetary_level) - 1, 0) as typical_spend,
        1 / (1 + exp(-return_rate_level)) as typical_return_rate
    from centroids

),

buyers as (

    select
        source,
        as_of_date,
        exp(sum(pool_share * ln(typical_orders)) / sum(pool_share)) as typical_orders,
        exp(sum(pool_share * ln(greatest(typical_spend, 0.0001))) / sum(pool_share))
            as typical_spend
    from profiles
    where typical_orders >= 0.5
    group by source, as_of_date

),

-- six decimals: a value that stands on a limit must not fall to either side by its last digit
measured as (

    select
        profiles.*,
        round(profiles.typical_orders, 6) as measured_typical_orders,
        round(coalesce(profiles.typical_orders / buyers.typical_orders, 0), 6) as order_ratio,
        round(coalesce(profiles.typical_spend / buyers.typical_spend, 0), 6) as spend_ratio,
        round(profiles.return_rate_score, 6) as measured_return_rate_score
    from profiles
    left join buyers
        on
            profiles.source = buyers.source
            and profiles.as_of_date = buyers.as_of_date

),

candidates as (

    select
        measured.*,
        rules.segment_name,
        row_number() over (
            partition by measured.source, measured.as_of_date, measured.cluster_id
            order by rules.priority
        ) as candidate_number
    from measured
    inner join rules
        on
            case rules.measure
                when 'typical_orders' then measured.measured_typical_orders
                when 'order_ratio' then measured.order_ratio
                when 'spend_ratio' then measured.spend_ratio
                when 'return_rate_score' then measured.measured_return_rate_score
            end >= coalesce(rules.at_least, -1e300)
            and case rules.measure
                when 'typical_orders' then measured.measured_typical_orders
                when 'order_ratio' then measured.order_ratio
                when 'spend_ratio' then measured.spend_ratio
                when 'return_rate_score' then measured.measured_return_rate_score
            end < coalesce(rules.below, 1e300)

),

final as (

    select
        source,
        as_of_date,
        cluster_id,
        segment_name,
        pool_share,
        row_count,
        inertia,
        {%- for feature in segment_features() %}
        {{ feature }}_score,
        {%- endfor %}
        typical_recency_days,
        typical_orders,
        typical_spend,
        typical_return_rate,
        order_ratio,
        spend_ratio
    from candidates
    where candidate_number = 1

)

select * from final
