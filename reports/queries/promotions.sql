select decided_on, trigger, decision, champion_version, challenger_version, in_use_version,
    log_loss_gain, log_loss_gain_lo, log_loss_gain_hi, sentence
from marts.model_promotions
where source = $source
order by decided_on desc
