-- tests of the last whole build; the same for all sources
select split_part(node_id, '.', 3) as test, resource_type, status, failures, execution_seconds,
    message
from marts.run_results
where resource_type in ('test', 'unit_test') and $source is not null
    and invocation_id = (
        select max_by(invocation_id, started_at) from marts.run_results where command = 'build'
    )
order by case when status = 'pass' then 1 else 0 end, test
