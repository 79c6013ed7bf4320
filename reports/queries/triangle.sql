select sale_month, age_week, sold_lines, cumulative_returned_lines, cumulative_line_rate,
    is_complete
from marts.return_triangle
where source = $source and entity_type = 'all' and age_week between 0 and 12
    and sale_month >= (
        select max(sale_month) - interval 7 month from marts.return_triangle where source = $source
    )
order by sale_month, age_week
