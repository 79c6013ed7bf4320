select seller_id, seller_name, window_days, main_category, lines, compared_lines, observed,
    expected, observed / nullif(compared_lines, 0) as observed_rate, shrunk_ratio, lo, hi, q_value, excess_returns, excess_cost, currency, risk_tier
from marts.seller_risk
where source = $source and window_days = 365 and excess_returns > 0
order by excess_returns desc, seller_id
limit 60
