select
    dimension,
    member_key,
    member_id,
    member_name,
    lines,
    net_amount
from reports.rpt_members
where source = $source and member_key > -2
union all
select
    dimension,
    -2 as member_key,
    'all others' as member_id,
    cast(count(*) as varchar) as member_name,
    sum(lines) as lines,
    sum(net_amount) as net_amount
from reports.rpt_members
where source = $source and member_key = -2
group by dimension
order by dimension, member_key
