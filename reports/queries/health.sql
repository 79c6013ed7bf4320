select marketplace, window_days, orders, sellers, lines, net_amount, currency, trend, average_predicted_risk,
    high_risk_share, health_score, insufficient_reason, return_rate_score, trend_score, seller_risk_score,
    delivery_score, cancellations_score, high_risk_orders_score
from marts.marketplace_health
where source = $source
order by window_days, marketplace
