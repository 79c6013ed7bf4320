select rule_name, outcome, weeks, alarms, true_alarms, alarm_precision, found_episodes,
    costliest_episodes, recall, median_lead_days, alarms_per_week
from marts.alert_backtest
where source = $source
order by outcome, rule_name
