with clusters as (

    select * from {{ ref('int_segment_clusters') }}

),

scorers as (

    select * from {{ ref('int_segment_scorers') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        clusters.source,
        clusters.as_of_date as known_on,
        clusters.cluster_id,
        clusters.segment_name,
        clusters.pool_share,
        {%- for feature in segment_features() %}
        clusters.{{ feature }}_score,
        {%- endfor %}
        clusters.typical_recency_days,
        clusters.typical_orders,
        clusters.typical_spend,
        clusters.typical_return_rate,
        clusters.order_ratio,
        clusters.spend_ratio,
        {%- for feature in segment_features() %}
        {%- for number in ['mean', 'sd', 'lower', 'upper'] %}
        scorers.{{ feature }}_{{ number }},
        {%- endfor %}
        {%- endfor %}
        sources.as_of_date
    from clusters
    inner join scorers
        on
            clusters.source = scorers.source
            and clusters.as_of_date = scorers.as_of_date
    inner join sources
        on clusters.source = sources.source

)

select * from final
