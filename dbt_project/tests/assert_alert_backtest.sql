-- alert_backtest: every rule is asked in the same weeks, and shares follow from their counts

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
    abs(coalesce(alarm_precision, 0) * alarms - true_alarms) > 1e-3
    or abs(coalesce(recall, 0) * costliest_episodes - found_episodes) > 1e-3
    or abs(alarms_per_week * weeks - alarms) > 1e-3
