-- Every customer of each fitted day gets the nearest cluster of that day's fit.

with features as (

    select * from {{ ref('int_segment_features') }}

),

scorers as (

    select * from {{ ref('int_segment_scorers') }}

),

joined as (

    select
        {%- for feature in segment_features() %}
        {%- for number in ['mean', 'sd', 'lower', 'upper'] %}
        scorers.{{ feature }}_{{ number }},
        {%- endfor %}
        {%- endfor %}
        {%- for id in segment_cluster_ids() %}
        {%- for feature in segment_features() %}
        scorers.{{ feature }}_{{ id }},
        {%- endfor %}
        scorers.square_{{ id }},
        {%- endfor %}
        features.*
    from features
    inner join scorers
        on
            features.source = scorers.source
            and features.as_of_date = scorers.as_of_date

),

{{ nearest_clusters(
    'joined', ['source', 'as_of_date', 'customer_id', 'is_current', 'is_sampled']
) }},

final as (

    select
        source,
        as_of_date,
        customer_id,
        is_current,
        is_sampled,
        cast(cluster_id as bigint) as cluster_id
    from assigned

)

select * from final
