{{ repeated_rows(ref('int_returns_screened'), 'return', return_content()) }}
