select date_diff('day', day, as_of_date) as age_days, marketplace_key, seller_key, category_key,
    lines, comparable_lines, returned_lines, effective_exposure, expected_returns, open_returns,
    net_amount, refund_amount, expected_cost
from reports.rpt_sales
where source = $source
order by day, marketplace_key, seller_key, category_key
