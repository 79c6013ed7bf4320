-- column_lineage: every path begins in raw files, policies or what landing wrote

with edges as (

    select * from {{ ref('column_lineage') }}

),

made as (

    select distinct
        target_schema,
        target_table
    from edges

)

select
    'what a column is made from is made itself, or is raw or policy' as claim,
    edges.source_schema || '.' || edges.source_table as example
from edges
left join made
    on
        edges.source_schema = made.target_schema
        and edges.source_table = made.target_table
where
    made.target_table is null
    and edges.source_schema not in ('raw', 'policy')
