select policy_name, value, unit, rationale
from scoring.policy_parameters
where policy_name in ('report_small_lines', 'report_immature_percent', 'interval_confidence_percent',
        'return_slice_members', 'return_slice_min_lines', 'rate_change_min_z', 'rate_change_min_percent')
    and $source is not null
order by policy_name
