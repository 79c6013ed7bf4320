select rule, threshold_percent, lines, acted_lines, acted_returned_lines, realised_profit,
    realised_profit_low, gain_over_never_per_thousand, gain_over_never_lo, gain_over_never_hi,
    break_even_effect_share
from marts.model_decisions
where source = $source and task = 'return'
order by threshold_percent, rule
