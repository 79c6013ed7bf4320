select mart, status, reason, fact, fact_share
from marts.coverage
where source = $source
order by case status when 'empty' then 1 when 'partial' then 2 else 3 end, mart
