with metrics as (

    select * from {{ ref('policy_metrics') }}

),

final as (

    select
        metric,
        mart,
        column_name,
        definition,
        formula,
        unit,
        better,
        reference
    from metrics

)

select * from final
