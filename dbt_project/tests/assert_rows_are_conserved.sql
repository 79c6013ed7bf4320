-- row_reconciliation and rejected_rows: every file that was read is accounted for, row by row

with load_files as (

    select * from {{ ref('load_files') }} where status = 'loaded'

),

reconciled as (

    select * from {{ ref('row_reconciliation') }}

),

rejected_by_file as (

    select
        source,
        file,
        count(*) as row_count
    from {{ ref('rejected_rows') }}
    group by source, file

),

missing_files as (

    select
        'every loaded file is reconciled' as claim,
        load_files.source,
        load_files.file as example
    from load_files
    left join reconciled
        on
            load_files.source = reconciled.source
            and load_files.file = reconciled.file
    where reconciled.rows_difference is null

),

unequal_rejects as (

    select
        'every rejected row is shown' as claim,
        reconciled.source,
        reconciled.file as example
    from reconciled
    left join rejected_by_file
        on
            reconciled.source = rejected_by_file.source
            and reconciled.file = rejected_by_file.file
    where reconciled.rejected_rows <> coalesce(rejected_by_file.row_count, 0)

)

select * from missing_files
union all
select * from unequal_rejects
