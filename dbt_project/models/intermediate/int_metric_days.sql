{{ config(materialized='view') }}

-- The time spine of the semantic layer: it ends with the data, or empty months would follow.

with days as (

    select * from {{ ref('int_days') }}

),

final as (

    select distinct day
    from days

)

select * from final
