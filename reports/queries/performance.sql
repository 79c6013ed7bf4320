select period_grain, period_start, metric, estimated, estimated_lo, estimated_hi, realised,
    realised_lo, realised_hi, is_mature, is_as_estimated, lines, known_lines, calibration_status
from marts.model_performance
where source = $source and entity_type = 'all' and period_grain = 'week'
    and metric in ('roc_auc', 'base_rate', 'brier')
order by metric, period_start
