{{ config(tags=['operations']) }}

with run_results as (

    select * from {{ source('landing', 'run_results') }}

),

final as (

    select
        invocation_id,
        node_id,
        command,
        resource_type,
        status,
        execution_seconds,
        failures,
        message,
        cast(started_at as timestamp) as started_at,
        dbt_version,
        adapter_type
    from run_results

)

select * from final
