-- alert_backtest: every rule is asked in the same weeks, shares follow from their counts, and an
-- alert of any metric opens no more often than those of each together

with backtest as (

    select * from {{ ref('alert_backtest') }}

)

select
    'all rules are asked in the same weeks' as claim,
    source,
    outcome as example
from backtest
group by source, outcome
having min(weeks) <> max(weeks) or min(costliest_episodes) <> max(costliest_episodes)

union all

select
    'shares follow from their counts' as claim,
    source,
    rule_name as example
from backtest
where
    abs(coalesce(alarm_precision, 0) * (true_alarms + false_alarms) - true_alarms) > 1e-3
    or abs(coalesce(recall, 0) * costliest_episodes - found_episodes) > 1e-3
    or abs(alarms_per_week * weeks - alarms) > 1e-3

union all

select
    'alerts of any metric are no more than those of each metric' as claim,
    source,
    outcome as example
from backtest
group by source, outcome
having
    sum(case when rule_name = 'alerts' then alarms else 0 end)
    > sum(case when rule_name like 'alerts: %' then alarms else 0 end)
