{{ repeated_rows(
    ref('int_order_lines_unioned'), id='order_line_id', document="order_id || '-' || product_id"
) }}
