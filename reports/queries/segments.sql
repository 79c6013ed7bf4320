select segment_name, currency, customers, orders, units, returned_units, gross_revenue, refund_amount,
    net_revenue, return_cost, net_margin_after_returns, aov, return_rate, customer_share,
    gross_revenue_share, net_revenue_share, returned_units_share, return_cost_share,
    net_margin_share
from marts.segment_profiles
where source = $source
order by customers desc, segment_name
