-- alert_deliveries: the same news is delivered to a target once

with deliveries as (

    select * from {{ ref('alert_deliveries') }}

)

select
    'the same news is delivered to a target once' as claim,
    source,
    alert_id || ' ' || target as example
from deliveries
where status = 'sent'
group by source, alert_id, target, severity_rank
having count(*) > 1
