select age_days, completion, completion_lo, completion_hi, return_count
from marts.return_completion_curve
where source = $source and stratum_level = 0
order by age_days
