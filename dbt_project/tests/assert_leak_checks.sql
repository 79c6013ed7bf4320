-- leak_checks: no model knows what was not known yet. A ROC-AUC that is too good to be true stops
-- the build too, until a row of policy_accepted_leaks says why it is right.

select
    'no model knows what was not known yet' as claim,
    source,
    task || ' ' || check_name || ' ' || subject || ': ' || cast(value as string) as example
from {{ ref('leak_checks') }}
where outcome = 'failed'
