select week_start, week_end, is_current, status, lines, roc_auc_estimated, roc_auc_realised,
    observed_returns, expected_returns, observed_to_expected, observed_to_expected_lo,
    observed_to_expected_hi, label_finding, drift_severity, sentence
from marts.model_health
where source = $source
order by week_start
