-- order_anomalies: ranks are 1 to the number of orders, which are orders of the source

with anomalies as (

    select * from {{ ref('order_anomalies') }}

),

orders as (

    select * from {{ ref('orders') }}

)

select
    'ranks are not 1 to the number of orders' as problem,
    source,
    cast(count(*) as string) as example
from anomalies
group by source
having
    count(*) <> max(anomaly_rank)
    or count(distinct anomaly_rank) <> count(*)
    or count(distinct lift_over_rules) > 1

union all

select
    'no order of the source' as problem,
    anomalies.source,
    anomalies.order_id as example
from anomalies
left join orders
    on
        anomalies.source = orders.source
        and anomalies.order_id = orders.order_id
where orders.order_id is null
