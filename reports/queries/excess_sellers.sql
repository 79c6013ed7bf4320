select seller_id, seller_name, window_days, main_category, lines, observed, expected,
    adjusted_rate, shrunk_ratio, lo, hi, q_value, excess_returns, excess_cost, currency, risk_tier
from marts.seller_risk
where source = $source and excess_returns > 0
order by window_days, excess_returns desc, seller_id
limit 60
