{{ config(schema='private', materialized='table', group='quality', access='private') }}

-- The rejected rows as they were written, personal data included: never published.

with rejected as (

    select * from {{ ref('int_rows_rejected') }}

),

rejected_lines as (

    select * from {{ source('landing', 'rejected_lines') }}

),

{%- set raw_tables = [
    ('canonical', 'canonical__order_lines'),
    ('canonical', 'canonical__returns'),
    ('canonical', 'canonical__customers'),
    ('canonical', 'canonical__products'),
    ('canonical', 'canonical__sellers'),
    ('canonical', 'canonical__reviews'),
    ('online_retail', 'online_retail__lines'),
] %}

final as (

    {%- for source_name, table_name in raw_tables %}

    select
        rejected.source,
        rejected.input_table,
        rejected.file,
        rejected.row_number,
        rejected.reject_reasons as reasons,
        {{ rejected_row_json(table_name) }}
    from {{ source(source_name, table_name) }} as landed
    inner join rejected
        on
            landed.source = rejected.source
            and landed.file = rejected.file
            and landed.row_number = rejected.row_number

    union all
    {%- endfor %}

    -- a line that was never split into columns has no column to pseudonymise: show nothing of it
    select
        source,
        table_name as input_table,
        file,
        row_number,
        reason as reasons,
        original_row as whole_row,
        cast(null as string) as original_row
    from rejected_lines

)

select * from final
