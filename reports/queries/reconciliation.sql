select file, rows_read, order_line_rows, return_rows, entity_rows, excluded_rows, rejected_rows,
    rows_difference, amount_read, order_line_amount, return_amount, excluded_amount,
    rejected_amount, amount_difference
from marts.row_reconciliation
where source = $source
order by file
