select window_days, marketplace_key, seller_key, category_key, lines, returned_lines,
    effective_exposure, projected_rate, projected_lo, projected_hi, prior_projected_rate,
    rate_change, rate_change_lo, rate_change_hi, history_ratio, history_returns
from reports.rpt_rates
where source = $source
order by window_days, marketplace_key, seller_key, category_key
