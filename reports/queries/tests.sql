-- the tests of the last whole build; the same for all sources
select
    count(*) as tests,
    count(case when status = 'pass' then 1 end) as passed,
    max(started_at) as built_at
from marts.run_results
where resource_type in ('test', 'unit_test') and $source is not null
    and invocation_id = (
        select max_by(invocation_id, started_at) from marts.run_results where command = 'build'
    )
