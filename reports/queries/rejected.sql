select input_table, reasons, count(*) as rows, min(file) as example_file,
    min(row_number) as example_row
from marts.rejected_rows
where source = $source
group by input_table, reasons
order by rows desc, input_table, reasons
limit 60
