select policy_name, value, unit, rationale
from scoring.policy_parameters
where policy_name in ('report_small_lines', 'report_immature_percent', 'interval_confidence_percent')
    and $source is not null
order by policy_name
