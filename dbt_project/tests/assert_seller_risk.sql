-- seller_risk has one row per key and judges every sold line of its windows, its ratios and
-- excesses follow from what stands beside them, and ranks are a count

{{ risk_claims(
    'seller_risk',
    'seller_id',
    'order_lines.is_sale and order_lines.seller_id is not null'
) }}
