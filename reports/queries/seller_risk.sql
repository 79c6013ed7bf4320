select risk.seller_id, risk.seller_name, risk.window_days, risk.main_category, risk.lines,
    risk.compared_lines, risk.observed, risk.expected,
    risk.observed / nullif(risk.compared_lines, 0) as observed_rate,
    risk.expected / nullif(risk.compared_lines, 0) as expected_rate, risk.shrunk_ratio,
    risk.lo, risk.hi, risk.q_value, risk.excess_returns, risk.excess_cost, risk.currency,
    risk.risk_tier, risk.insufficient_reason
from marts.seller_risk as risk
inner join reports.rpt_members as members
    on risk.source = members.source and members.dimension = 'seller'
    and risk.seller_id = members.member_id and members.member_key > 0
where risk.source = $source and risk.window_days = 365
order by risk.lo desc, risk.seller_id
