select task, model, is_champion, status, reason, trained_on, model_version, purpose, limits,
    sentence, has_signal, tested_rows, base_rate, roc_auc, roc_auc_lo, roc_auc_hi, pr_auc,
    pr_auc_lo, pr_auc_hi, brier, calibration_error, leak_checks, leak_checks_passed
from marts.model_cards
where source = $source
order by task, case when is_champion then 0 else 1 end, roc_auc desc, model
