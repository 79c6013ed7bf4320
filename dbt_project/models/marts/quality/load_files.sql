{{ config(tags=['operations']) }}

with load_files as (

    select * from {{ source('landing', 'load_files') }}

),

final as (

    select
        source,
        table_name,
        file,
        file_sha256,
        file_bytes,
        format,
        encoding,
        rows_read,
        rows_landed,
        rows_rejected,
        status,
        message,
        landed_at
    from load_files

)

select * from final
