-- score_requests: the lines of a request are numbered from 1 without a gap, one model answered it

with score_requests as (

    select * from {{ ref('score_requests') }}

)

select
    source,
    request_id
from score_requests
group by source, request_id
having
    max(line_number) <> count(*)
    or count(distinct model_version) <> 1
