with records as (

    select * from {{ ref('int_model_records') }} where record = 'metric' and tested_on is not null

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        records.source,
        records.task,
        records.model,
        records.tested_on,
        records.trained_on,
        records.slice_type as entity_type,
        records.slice_id as entity_id,
        records.name as metric,
        records.value,
        records.lo,
        records.hi,
        records.n,
        sources.as_of_date
    from records
    inner join sources
        on records.source = sources.source

)

select * from final
