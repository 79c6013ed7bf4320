select seller_key, recency_rank, ordered_date, order_line_id, product_id, product_name, category,
    quantity, net_amount, return_class, refund_amount, days_to_return, return_probability,
    recommended_action
from reports.rpt_seller_orders
where source = $source
order by seller_key, recency_rank
