-- product_risk has one row per key and judges every sold line of its windows, its ratios and
-- excesses follow from what stands beside them, and ranks are a count

with risk as (

    select * from {{ ref('product_risk') }}

),

windows as (

    select distinct
        source,
        window_days
    from risk

),

ledger as (

    select
        order_lines.source,
        windows.window_days,
        count(*) as lines
    from {{ ref('order_lines') }} as order_lines
    inner join windows
        on
            order_lines.source = windows.source
            and order_lines.age_days < windows.window_days
    where order_lines.is_sale
    group by order_lines.source, windows.window_days

),

sums as (

    select
        source,
        window_days,
        sum(lines) as lines,
        count(risk_rank) as ranked,
        max(risk_rank) as last_rank,
        count(distinct risk_rank) as ranks
    from risk
    group by source, window_days

)

select
    'the lines of all products are those of the ledger' as claim,
    ledger.source,
    cast(ledger.window_days as string) as example
from ledger
left join sums
    on
        ledger.source = sums.source
        and ledger.window_days = sums.window_days
where sums.lines is null or sums.lines <> ledger.lines

union all

select
    'ranks count the judged' as claim,
    source,
    cast(window_days as string) as example
from sums
where ranked > 0 and (ranked <> last_rank or ranked <> ranks)

union all

select
    'o_e_ratio = observed / expected, and the excess follows from the shrunk ratio' as claim,
    source,
    product_id as example
from risk
where
    abs(o_e_ratio * expected - observed) > 1e-4 * (1 + observed)
    or abs(greatest(shrunk_ratio - 1, 0) * expected_final - excess_returns)
    > 1e-4 * (1 + excess_returns)
    or abs(cast(excess_cost as double) - excess_returns * cast(cost_per_return as double))
    > 1e-3 * (1 + excess_returns)
    or (insufficient_reason is null) <> (risk_tier <> 'insufficient data')

union all

select
    'one row per key' as claim,
    source,
    product_id as example
from risk
group by source, product_id, window_days
having count(*) > 1
