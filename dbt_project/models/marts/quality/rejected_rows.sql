with rejected_rows as (

    select * from {{ ref('rejected_rows_whole') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        rejected_rows.source,
        rejected_rows.file,
        rejected_rows.row_number,
        rejected_rows.input_table,
        rejected_rows.reasons,
        rejected_rows.original_row,
        sources.as_of_date
    from rejected_rows
    left join sources
        on rejected_rows.source = sources.source

)

select * from final
