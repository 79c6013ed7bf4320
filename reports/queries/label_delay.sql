select basis, week_start, observed_returns, expected_returns, observed_to_expected,
    observed_to_expected_lo, observed_to_expected_hi, observed_to_due, observed_to_due_lo,
    observed_to_due_hi, finding, is_alarm, sentence
from marts.label_delay
where source = $source and marketplace = 'all' and is_complete
order by basis, week_start
