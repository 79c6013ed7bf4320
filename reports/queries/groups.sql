select customer_group, currency, customers, orders, gross_revenue, refund_amount, net_revenue,
    revenue_share, aov, return_rate
from marts.revenue_by_customer_group
where source = $source
order by net_revenue desc, customer_group
