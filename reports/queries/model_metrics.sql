select task, model, metric, value, lo, hi, n
from marts.model_metrics
where source = $source and entity_type = 'all'
    and metric in ('roc_auc', 'pr_auc', 'accuracy', 'precision', 'recall', 'f1', 'brier', 'log_loss',
        'calibration_error', 'base_rate', 'lift_10')
order by task, model, metric
