-- drift_false_alarms: every source whose weeks are judged is tried, and what does not depend on
-- luck holds: no alarm without a try, rates are alarms over tries

with alarms as (

    select * from {{ ref('drift_false_alarms') }}

),

judged as (

    select source
    from {{ ref('drift_batches') }}
    where batch_grain = 'week' and drift_score is not null
    group by source

),

tried as (

    select
        judged.source,
        count(distinct alarms.tried_on) as ways
    from judged
    left join alarms
        on judged.source = alarms.source
    group by judged.source

)

select
    alarms.source,
    alarms.tested
from alarms
where
    alarms.tries < 1
    or abs(alarms.alarm_rate * alarms.tries - alarms.alarms) > 1e-6 * alarms.tries

union all

select
    source,
    'not tried' as tested
from tried
where ways = 0
