select month, currency, orders, order_lines, units, gross_revenue, refund_amount_by_sale_date,
    net_revenue, aov, active_customers, is_complete
from marts.kpis_monthly
where source = $source
order by month
