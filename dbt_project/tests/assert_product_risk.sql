-- product_risk has one row per key and judges every sold line of its windows, its ratios and
-- excesses follow from what stands beside them, and ranks are a count

{{ risk_claims(
    'product_risk',
    'product_id',
    'order_lines.is_sale'
) }}
