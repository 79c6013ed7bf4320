select metrics.entity_type, metrics.entity_id, metrics.metric, metrics.value, metrics.lo,
    metrics.hi, metrics.n
from marts.model_metrics as metrics
inner join marts.model_cards as cards
    on metrics.source = cards.source and metrics.task = cards.task and metrics.model = cards.model
where metrics.source = $source and metrics.task = 'return' and cards.is_champion
    and metrics.entity_type in ('marketplace', 'category', 'segment')
    and metrics.metric in ('roc_auc', 'calibration_error', 'base_rate', 'precision', 'recall')
order by metrics.entity_type, metrics.entity_id, metrics.metric
