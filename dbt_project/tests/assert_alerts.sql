-- alerts: ids follow from entity, metric and first week, the list is a count, only open alerts that
-- stand for themselves are in the budget, and a parent is an alert that was open at the same time

with alerts as (

    select * from {{ ref('alerts') }}

),

lists as (

    select
        source,
        count(*) as open_alerts,
        max(alert_rank) as last_rank,
        count(distinct alert_rank) as ranks,
        sum(
            case
                when is_in_budget and monitor in ('risk', 'jumps') then 1
                else 0
            end
        ) as in_budget,
        sum(
            case
                when is_in_budget and monitor not in ('risk', 'jumps') then 1
                else 0
            end
        ) as in_monitoring_budget
    from alerts
    where status in ('new', 'open')
    group by source

),

parents as (

    select
        alerts.source,
        alerts.alert_id,
        parents.alert_id as parent_alert_id
    from alerts
    left join alerts as parents
        on
            alerts.source = parents.source
            and alerts.parent_alert_id = parents.alert_id
            and alerts.first_seen_at <= parents.last_seen_at
            and alerts.last_seen_at >= parents.first_seen_at
            and alerts.alert_id <> parents.alert_id
    where alerts.parent_alert_id is not null

)

select
    'the list of open alerts is a count, and no longer than the budget' as claim,
    source,
    cast(last_rank as string) as example
from lists
where
    open_alerts <> last_rank
    or ranks <> last_rank
    or in_budget > {{ policy_value('alert_weekly_budget') }}
    or in_monitoring_budget > {{ policy_value('alert_monitoring_budget') }}

union all

select
    'an alert opened when an ordinary entity would rarely have so many returns' as claim,
    source,
    alert_id as example
from alerts
where
    status = 'new'
    and (
        100 * q_value > {{ policy_value('alert_open_q_percent') }}
        or (
            monitor in ('risk', 'jumps')
            and (
                100 * effect <= {{ policy_value('alert_min_effect_percent') }}
                or expected < {{ policy_value('risk_min_expected_returns') }}
            )
        )
        or effect <= 1
    )

union all

select
    'an open alert has not passed the limit at which it closes' as claim,
    source,
    alert_id as example
from alerts
where status <> 'watch' and 100 * q_value > {{ policy_value('alert_close_q_percent') }}

union all

select
    'a parent was open at the same time' as claim,
    source,
    alert_id as example
from parents
where parent_alert_id is null

union all

select
    'there is one alert of an entity and metric at a time' as claim,
    alerts.source,
    alerts.alert_id as example
from alerts
inner join alerts as others
    on
        alerts.source = others.source
        and alerts.entity_type = others.entity_type
        and alerts.entity_id = others.entity_id
        and alerts.metric = others.metric
        and alerts.alert_id <> others.alert_id
        and alerts.first_seen_at <= others.last_seen_at
        and alerts.last_seen_at >= others.first_seen_at

union all

select
    'every alert has a sentence, and only open ones that stand alone are in the budget' as claim,
    source,
    alert_id as example
from alerts
where
    sentence is null
    or (is_in_budget and (status in ('closed', 'watch') or parent_alert_id is not null))

union all

select
    'who is watched has a large effect, and no open alert of that metric' as claim,
    alerts.source,
    alerts.alert_id as example
from alerts
left join alerts as others
    on
        alerts.source = others.source
        and alerts.entity_type = others.entity_type
        and alerts.entity_id = others.entity_id
        and alerts.metric = others.metric
        and others.status in ('new', 'open')
where
    alerts.status = 'watch'
    and (
        100 * alerts.effect <= {{ policy_value('alert_min_effect_percent') }}
        or others.alert_id is not null
    )
