with records as (

    select * from {{ ref('ml_return_models') }} where record = 'pair'

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        records.source,
        'return' as task,
        records.slice_id as model_version,
        records.feature_a,
        records.bin_a,
        records.feature_b,
        records.bin_b,
        records.value as score,
        records.trained_on,
        sources.as_of_date
    from records
    inner join sources
        on records.source = sources.source

)

select * from final
