select metrics.entity_type, metrics.entity_id, metrics.model, metrics.metric, metrics.value,
    metrics.lo, metrics.hi, metrics.n
from marts.model_metrics as metrics
inner join marts.model_cards as cards
    on metrics.source = cards.source and metrics.task = cards.task and metrics.model = cards.model
left join reports.rpt_members as members
    on metrics.source = members.source and members.dimension = 'seller'
    and metrics.entity_id = members.member_id and members.member_key > 0
where metrics.source = $source and metrics.task = 'return' and cards.is_champion
    and (metrics.entity_type = 'all' or metrics.entity_type = 'seller' and members.member_key > 0)
    and metrics.metric in ('accuracy', 'precision', 'recall', 'f1', 'roc_auc', 'pr_auc', 'brier',
        'log_loss', 'calibration_error', 'base_rate')
order by metrics.entity_type, metrics.entity_id, metrics.metric
