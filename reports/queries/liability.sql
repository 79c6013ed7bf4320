select known_on, reporting_currency as currency, liability_amount, liability_lo, liability_hi,
    return_asset_amount, refunds_paid, new_sales_liability, true_up_amount, realised_refund_amount,
    decided_share, is_final, error_rate, is_covered
from marts.refund_liability
where source = $source and currency = 'all'
order by known_on
