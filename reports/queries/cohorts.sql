select cohort_month, month_number, activity_month, cohort_size, active_customers, retention_rate,
    kept_retention_rate, net_revenue, return_rate, is_complete
from marts.cohort_retention
where source = $source and cohort_month >= (
        select max(cohort_month) - interval 23 month from marts.cohort_retention
        where source = $source
    )
order by cohort_month, month_number
