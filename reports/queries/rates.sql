select window_days, marketplace_key, seller_key, category_key, lines, returned_lines,
    effective_exposure, adjusted_rate, rate_lo, rate_hi, prior_adjusted_rate, rate_change,
    rate_change_lo, rate_change_hi
from reports.rpt_rates
where source = $source
order by window_days, marketplace_key, seller_key, category_key
