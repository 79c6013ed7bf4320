select known_on, cohort_start, cohort_end, denominator as lines, maturity, naive_rate,
    projected_rate, projected_lo, projected_hi, final_rate, error, naive_error, is_covered
from marts.return_projection_backtest
where source = $source and entity_type = 'all' and unit = 'lines'
    and cohort_kind = 'last_30_days' and is_final
order by known_on
