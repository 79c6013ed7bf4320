select period_start as month, denominator as lines, numerator as returned_lines, observed_rate,
    projected_rate, projected_lo, projected_hi, maturity, is_complete
from marts.return_rates
where source = $source and entity_type = 'all' and period_grain = 'month'
    and basis = 'sale' and unit = 'lines'
order by period_start
