-- The cells of the case mix that occur, numbered, with the strata of each level that they lie in.

with lines as (

    select * from {{ ref('int_risk_lines') }} where comparable_lines = 1

),

cells as (

    select distinct
        source,
        category,
        price_band,
        season,
        country,
        customer_group
    from lines

),

keyed as (

    select
        *,
        {%- for level in [1, 2, 3] %}
        concat(
            {%- for dimension in [
                'category', 'price_band', 'season', 'country', 'customer_group'
            ] %}
            {{ case_mix_member(dimension, level) }},
            {%- if not loop.last %} '|',{% endif %}
            {%- endfor %} ''
        ) as stratum_{{ level }},
        {%- endfor %}
        row_number() over (
            order by source, category, price_band, season, country, customer_group
        ) as cell_number
    from cells

),

final as (

    select
        cast(cell_number as bigint) as cell_id,
        source,
        category,
        price_band,
        season,
        country,
        customer_group,
        cast(dense_rank() over (order by source, stratum_1) as bigint) as stratum_1,
        cast(dense_rank() over (order by source, stratum_1, stratum_2) as bigint) as stratum_2,
        cast(dense_rank() over (order by source, stratum_1, stratum_2, stratum_3) as bigint)
            as stratum_3
    from keyed

)

select * from final
