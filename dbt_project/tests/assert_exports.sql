-- exports: all or nothing, of one build to one target

with exports as (

    select * from {{ ref('exports') }}

)

select
    'an export has one status, one target and one build' as claim,
    export_id as example
from exports
group by export_id
having
    count(distinct status) > 1
    or count(distinct target) > 1
    or count(distinct format) > 1
    or count(distinct build_id) > 1
