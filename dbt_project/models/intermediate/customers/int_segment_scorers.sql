-- Each fit in one row, so that customers meet it in one join: scales, centroids, and the square of
-- each centroid. Clusters that a fit does not have are infinitely far away.

with fits as (

    select * from {{ ref('ml_segment_fits') }}

),

final as (

    select
        source,
        as_of_date,
        {%- for feature in segment_features() %}
        {%- for number in ['mean', 'sd', 'lower', 'upper'] %}
        max(case when feature = '{{ feature }}' then {{ number }} end)
            as {{ feature }}_{{ number }},
        {%- endfor %}
        {%- endfor %}
        {%- for id in segment_cluster_ids() %}
        {%- for feature in segment_features() %}
        coalesce(
            max(case when cluster_id = {{ id }} and feature = '{{ feature }}' then centroid end), 0
        ) as {{ feature }}_{{ id }},
        {%- endfor %}
        coalesce(
            {%- for feature in segment_features() %}
            {{ '+ ' if not loop.first }}power(
                max(
                    case when cluster_id = {{ id }} and feature = '{{ feature }}' then centroid end
                ),
                2
            )
            {%- endfor %},
            1e300
        ) as square_{{ id }},
        {%- endfor %}
        max(cluster_id) as cluster_count
    from fits
    group by source, as_of_date

)

select * from final
