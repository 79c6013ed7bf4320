with records as (

    select * from {{ ref('int_model_records') }} where record = 'calibration'

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        records.source,
        records.task,
        records.model,
        cast(records.slice_id as bigint) as bin,
        max(records.n) as n,
        max(case when records.name = 'predicted' then records.value end) as predicted_rate,
        max(case when records.name = 'observed' then records.value end) as observed_rate,
        max(records.lo) as observed_lo,
        max(records.hi) as observed_hi,
        sources.as_of_date
    from records
    inner join sources
        on records.source = sources.source
    group by
        records.source, records.task, records.model, cast(records.slice_id as bigint),
        sources.as_of_date

)

select * from final
