{#- The queries of ml_return_scorers, one below the other. Until there are any: their columns. -#}
{% macro scoring_queries(scorers) -%}
    select
        source,
        order_line_id,
        order_id,
        product_id,
        ordered_date,
        marketplace,
        category,
        payment_method,
        quantity,
        ordered_amount,
        has_size,
        same_product_variants,
        customer_return_rate,
        customer_returned_lines_before,
        product_return_rate,
        discount_share,
        cast(null as {{ dbt.type_string() }}) as model_version,
        false as is_out_of_sample,
        cast(0 as double) as margin
    from return_features
    where 1 = 0
    {%- if execute and load_relation(scorers) is not none %}
    {%- set listed = run_query(
        'select query from ' ~ scorers
        ~ ' where query is not null order by source, model_version'
    ) %}
    {%- for (query,) in listed.rows %}

    union all

    {{ query }}
    {%- endfor %}
    {%- endif %}
{%- endmacro %}
