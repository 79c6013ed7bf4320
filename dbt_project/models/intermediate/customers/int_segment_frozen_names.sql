-- The customers of today, frozen, and named by the fit of every day: what would they be called?

with features as (

    select * from {{ ref('int_segment_features') }} where is_current and is_sampled

),

scorers as (

    select * from {{ ref('int_segment_scorers') }}

),

clusters as (

    select * from {{ ref('int_segment_clusters') }}

),

joined as (

    select
        {%- for feature in segment_features() %}
        features.{{ feature }}_feature,
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
        features.source,
        features.customer_id,
        scorers.as_of_date as fitted_on
    from features
    inner join scorers
        on features.source = scorers.source

),

{{ nearest_clusters('joined', ['source', 'customer_id', 'fitted_on']) }},

final as (

    select
        assigned.source,
        assigned.customer_id,
        assigned.fitted_on,
        cast(assigned.cluster_id as bigint) as cluster_id,
        clusters.segment_name
    from assigned
    inner join clusters
        on
            assigned.source = clusters.source
            and assigned.fitted_on = clusters.as_of_date
            and assigned.cluster_id = clusters.cluster_id

)

select * from final
