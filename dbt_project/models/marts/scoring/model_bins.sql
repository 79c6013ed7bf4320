with records as (

    select * from {{ ref('ml_return_models') }} where record = 'bin'

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        records.source,
        'return' as task,
        records.slice_id as model_version,
        records.feature_a as feature,
        records.bin_a as bin,
        records.slice_type as feature_group,
        records.name as kind,
        records.lo as lower_edge,
        records.hi as upper_edge,
        records.detail as category,
        records.value as score,
        records.trained_on,
        sources.as_of_date
    from records
    inner join sources
        on records.source = sources.source

)

select * from final
