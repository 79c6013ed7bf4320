select alert_id, monitor, entity_type, entity_id, metric, lines, observed, expected, effect, effect_lo,
    q_value, money_at_risk, currency, sentence, first_seen_at, last_seen_at, status, severity
from marts.alerts
where source = $source
order by case when status = 'closed' then 1 else 0 end, alert_rank, last_seen_at desc, alert_id
limit 40
