with records as (

    select * from {{ ref('int_model_records') }} where record = 'confusion'

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        records.source,
        records.task,
        records.model,
        records.slice_type as entity_type,
        records.slice_id as entity_id,
        records.lo as threshold,
        {%- for name in [
            'true_positives', 'false_positives', 'true_negatives', 'false_negatives'
        ] %}
        cast(max(case when records.name = '{{ name }}' then records.value end) as bigint)
            as {{ name }},
        {%- endfor %}
        max(records.n) as n,
        sources.as_of_date
    from records
    inner join sources
        on records.source = sources.source
    group by
        records.source,
        records.task,
        records.model,
        records.slice_type,
        records.slice_id,
        records.lo,
        sources.as_of_date

)

select * from final
