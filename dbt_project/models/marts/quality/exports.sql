{{ config(tags=['operations']) }}

with exports as (

    select * from {{ source('landing', 'exports') }}

),

final as (

    select
        export_id,
        schema_name,
        table_name,
        format,
        target,
        build_id,
        status,
        table_rows,
        checksum,
        message,
        seconds,
        cast(started_at as timestamp) as started_at
    from exports

)

select * from final
