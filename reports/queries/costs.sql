select entity_id as category, currency, returned_lines, return_cost_low, return_cost_mid,
    return_cost_high, return_cost_share, cost_per_returned_line, net_amount,
    gross_margin_before_returns, net_margin_after_returns
from marts.return_costs
where source = $source and entity_type = 'category'
order by return_cost_mid desc, entity_id
limit 25
