select newest.seller_key, newest.recency_rank, newest.ordered_date, newest.order_line_id, newest.product_id,
    newest.product_name, lines.marketplace, newest.category, newest.quantity, newest.net_amount,
    newest.return_class, newest.refund_amount, newest.days_to_return, newest.return_probability,
    newest.recommended_action
from reports.rpt_seller_orders as newest
left join marts.order_lines as lines
    on newest.source = lines.source and newest.order_line_id = lines.order_line_id
where newest.source = $source
order by newest.seller_key, newest.recency_rank
