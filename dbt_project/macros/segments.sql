{#- The features that segments are fitted on, in the order of ml.segmentation.FEATURES. -#}
{% macro segment_features() -%}
    {{ return(['recency', 'frequency', 'monetary', 'return_rate']) }}
{%- endmacro %}

{#- The most clusters a fit can have: the columns of int_segment_scorers. -#}
{% macro segment_cluster_ids() -%}
    {{ return(range(1, 9) | list) }}
{%- endmacro %}

{#- CTEs `standardised`, `scored` and `assigned` over a CTE that joins int_segment_features and
    int_segment_scorers: the cluster whose centroid is nearest, the first of equally near ones. What
    is compared is |c|^2 - 2 x.c, the squared distance less |x|^2. -#}
{% macro nearest_clusters(joined, columns) -%}
{#- named here again: sqlfluff cannot return a list from one macro to another -#}
{%- set features = ['recency', 'frequency', 'monetary', 'return_rate'] -%}
{%- set ids = range(1, 9) -%}
standardised as (

    select
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        {%- for feature in features %}
        (least(greatest({{ feature }}_feature, {{ feature }}_lower), {{ feature }}_upper)
        - {{ feature }}_mean) / {{ feature }}_sd as {{ feature }}_z,
        {%- endfor %}
        {%- for id in ids %}
        {%- for feature in features %}
        {{ feature }}_{{ id }},
        {%- endfor %}
        square_{{ id }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ joined }}

),

scored as (

    select
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        {%- for id in ids %}
        square_{{ id }} - 2 * (
            {%- for feature in features %}
            {{ '+ ' if not loop.first }}{{ feature }}_z * {{ feature }}_{{ id }}
            {%- endfor %}
        ) as score_{{ id }}{{ ',' if not loop.last }}
        {%- endfor %}
    from standardised

),

assigned as (

    select
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        case least(
            {%- for id in ids %}score_{{ id }}{{ ', ' if not loop.last }}{% endfor -%}
        )
            {%- for id in ids %}
            when score_{{ id }} then {{ id }}
            {%- endfor %}
        end as cluster_id
    from scored

)
{%- endmacro %}
