-- leak_checks: no model knows what was not known yet

select
    'no model knows what was not known yet' as claim,
    source,
    task || ' ' || check_name || ' ' || subject || ': ' || cast(value as string) as example
from {{ ref('leak_checks') }}
where not has_passed
