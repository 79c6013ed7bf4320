{{ repeated_rows(
    ref('int_order_lines_screened'),
    accepted='order_line',
    moment='ordered_at',
    columns=['ordered_at'] + order_line_columns() + ['original_amount'],
) }}
