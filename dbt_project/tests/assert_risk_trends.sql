-- risk_trends has one row per key, marketplaces and categories add up to all, in every day and
-- week, and days to their weeks

with trends as (

    select * from {{ ref('risk_trends') }}

),

sums as (

    select
        source,
        entity_type,
        period_grain,
        period_start,
        sum(lines) as lines,
        sum(observed) as observed,
        sum(expected) as expected
    from trends
    group by source, entity_type, period_grain, period_start

),

days as (

    select
        source,
        entity_type,
        entity_id,
        {{ week_start('period_start') }} as week_start,
        sum(lines) as lines,
        sum(observed) as observed,
        count(*) as day_count
    from trends
    where period_grain = 'day' and entity_type = 'all'
    group by source, entity_type, entity_id, {{ week_start('period_start') }}

)

select
    'marketplaces and categories add up to all' as claim,
    wholes.source,
    parts.entity_type || ' ' || cast(wholes.period_start as string) as example
from sums as wholes
inner join sums as parts
    on
        wholes.source = parts.source
        and wholes.period_grain = parts.period_grain
        and wholes.period_start = parts.period_start
where
    wholes.entity_type = 'all'
    and parts.entity_type in ('marketplace', 'category')
    and (
        wholes.lines <> parts.lines
        or wholes.observed <> parts.observed
        or abs(wholes.expected - parts.expected) > 1e-3
    )

union all

select
    'seven days make their week' as claim,
    trends.source,
    cast(days.week_start as string) as example
from days
inner join trends
    on
        days.source = trends.source
        and days.entity_type = trends.entity_type
        and days.entity_id = trends.entity_id
        and trends.period_grain = 'week'
        and days.week_start = trends.period_start
where days.day_count = 7 and (days.lines <> trends.lines or days.observed <> trends.observed)

union all

select
    'one row per key' as claim,
    source,
    entity_type || ' ' || entity_id as example
from trends
group by source, entity_type, entity_id, period_grain, period_start
having count(*) > 1
