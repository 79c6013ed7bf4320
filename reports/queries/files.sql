select file, table_name, format, encoding, file_bytes, rows_read, rows_landed, rows_rejected,
    status, message, landed_at
from marts.load_files
where source = $source
order by file
