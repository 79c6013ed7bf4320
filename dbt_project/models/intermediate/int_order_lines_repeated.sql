{{ repeated_rows(ref('int_order_lines_screened'), 'order_line', order_line_content()) }}
