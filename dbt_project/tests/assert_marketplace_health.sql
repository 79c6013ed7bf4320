-- the health score is the weighted mean of its parts, and the marketplaces' sales are the ledger's

{%- set parts = [
    'return_rate', 'trend', 'seller_risk', 'delivery', 'cancellations', 'high_risk_orders'
] %}

with health as (

    select * from {{ ref('marketplace_health') }}

),

windows as (

    select distinct
        source,
        window_days
    from health

),

ledger as (

    select
        order_lines.source,
        windows.window_days,
        sum(case when order_lines.is_sale then 1 else 0 end) as lines,
        sum(order_lines.net_amount) as net_amount
    from {{ ref('order_lines') }} as order_lines
    inner join windows
        on
            order_lines.source = windows.source
            and order_lines.age_days < windows.window_days
    group by order_lines.source, windows.window_days

),

sums as (

    select
        source,
        window_days,
        sum(lines) as lines,
        sum(net_amount) as net_amount
    from health
    group by source, window_days

)

select
    'lines and money are those of the ledger' as claim,
    ledger.source,
    cast(ledger.window_days as string) as example
from ledger
inner join sums
    on
        ledger.source = sums.source
        and ledger.window_days = sums.window_days
where ledger.lines <> sums.lines or ledger.net_amount <> sums.net_amount

union all

select
    'health_score is the weighted mean of the parts that are known, if they are enough' as claim,
    source,
    marketplace as example
from health
where
    abs(
        health_score * (
            {%- for part in parts %}
            {{ '+ ' if not loop.first }}{{ part }}_weight
            {%- endfor %}
        ) - (
            {%- for part in parts %}
            {{ '+ ' if not loop.first }}coalesce({{ part }}_score, 0) * {{ part }}_weight
            {%- endfor %}
        )
    ) > 1e-3
    {%- for part in parts %}
    or ({{ part }}_value is null) <> ({{ part }}_weight = 0)
    {%- endfor %}
