{{ config(tags=['operations']) }}

with edges as (

    select * from {{ source('landing', 'column_lineage') }}

),

-- files of two states of the project may lie side by side for a moment
final as (

    select distinct
        target_schema,
        target_table,
        target_column,
        source_schema,
        source_table,
        source_column,
        transformation
    from edges

)

select * from final
