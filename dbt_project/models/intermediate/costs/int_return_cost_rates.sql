-- What a return costs at each place, so that one join prices it:
-- per_line + per_unit * units + refund_share * refund.

with components as (

    select * from {{ ref('int_return_cost_components') }}

),

totals as (

    select
        source,
        marketplace,
        category,
        line_count,
        currency,
        {%- for level in ['low', 'mid', 'high'] %}
        sum(case when basis = 'per_returned_line' then {{ level }} else 0 end)
            as per_line_{{ level }},
        sum(case when basis = 'per_returned_unit' then {{ level }} else 0 end)
            as per_unit_{{ level }},
        sum(case when basis = 'share_of_refund' then {{ level }} else 0 end)
            as refund_share_{{ level }},
        {%- endfor %}
        count(component) = {{ return_cost_components() | length }} as has_rates
    from components
    group by source, marketplace, category, line_count, currency

),

-- some components without the others would be a wrong cost: all of them, or NULL
final as (

    select
        source,
        marketplace,
        category,
        line_count,
        currency,
        {%- for level in ['low', 'mid', 'high'] %}
        cast(case when has_rates then per_line_{{ level }} end as decimal(18, 4))
            as per_line_{{ level }},
        cast(case when has_rates then per_unit_{{ level }} end as decimal(18, 4))
            as per_unit_{{ level }},
        cast(case when has_rates then refund_share_{{ level }} end as decimal(18, 4))
            as refund_share_{{ level }},
        {%- endfor %}
        has_rates
    from totals

)

select * from final
