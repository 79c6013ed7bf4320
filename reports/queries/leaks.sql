select task, check_name, subject, value, has_passed, outcome, n, detail
from marts.leak_checks
where source = $source
order by case when has_passed then 1 else 0 end, task, check_name, subject
