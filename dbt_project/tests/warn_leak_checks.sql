{{ config(severity='warn') }}

-- leak_checks: a ROC-AUC that is hardly ever honest. Look at the feature or model that is named; if
-- it is right, a row of policy_accepted_leaks says so.

select
    'no ROC-AUC is too good to be true' as claim,
    source,
    task || ' ' || check_name || ' ' || subject || ': ' || cast(value as string) as example
from {{ ref('leak_checks') }}
where outcome = 'suspicious'
