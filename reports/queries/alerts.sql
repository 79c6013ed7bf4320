-- open first, in their order; then by the money at risk
select alert_id, monitor, entity_type, entity_id, metric, window_days, window_end, lines, observed,
    expected, effect, effect_lo, q_value, money_at_risk, currency, sentence, first_seen_at, last_seen_at,
    status, severity, products.category
from marts.alerts as alerts
left join marts.products as products
    on alerts.source = products.source and alerts.entity_type = 'product'
    and alerts.entity_id = products.product_id
where alerts.source = $source
order by case when status = 'closed' then 1 else 0 end, alert_rank,
    case when status = 'closed' then last_seen_at end desc, money_at_risk desc nulls last, alert_id
limit 60
