-- the report adds up to the ledger: its days, its members and its windows

with order_lines as (

    select * from {{ ref('order_lines') }}
    where is_sale and age_days < {{ policy_value('report_days') }}

),

sales as (

    select * from {{ ref('rpt_sales') }}

),

ledger as (

    select
        source,
        count(*) as lines,
        sum(case when return_class = 'unknown' or maturity is null then 0 else 1 end)
            as comparable_lines,
        sum(
            case
                when return_class = 'unknown' or maturity is null then 0
                when returned_quantity > 0 then 1
                else 0
            end
        ) as returned_lines,
        sum(net_amount) as net_amount,
        sum(coalesce(refund_amount, 0)) as refund_amount
    from order_lines
    group by source

),

shown as (

    select
        source,
        sum(lines) as lines,
        sum(comparable_lines) as comparable_lines,
        sum(returned_lines) as returned_lines,
        sum(net_amount) as net_amount,
        sum(refund_amount) as refund_amount
    from sales
    group by source

),

members as (

    select
        source,
        dimension,
        sum(lines) as lines,
        sum(net_amount) as net_amount
    from {{ ref('rpt_members') }}
    group by source, dimension

),

windows as (

    select
        rates.source,
        rates.window_days,
        sum(sales.lines) as lines,
        sum(sales.returned_lines) as returned_lines,
        sum(sales.effective_exposure) as effective_exposure
    from {{ ref('rpt_rates') }} as rates
    inner join sales
        on
            rates.source = sales.source
            and {{ days_between('sales.day', 'sales.as_of_date') }} < rates.window_days
    where rates.marketplace_key = 0 and rates.seller_key = 0 and rates.category_key = 0
    group by rates.source, rates.window_days

),

months as (

    select
        source,
        entity_type,
        entity_id,
        period_start,
        denominator,
        projected_rate,
        projected_lo,
        projected_hi
    from {{ ref('return_rates') }}
    where period_grain = 'month' and basis = 'sale' and unit = 'lines' and is_complete

),

-- selections of one member or of all
selected as (

    select
        rates.source,
        coalesce(members.dimension, 'all') as entity_type,
        coalesce(members.member_id, 'all') as entity_id,
        {{ dbt.dateadd('day', '1 - rates.window_days', 'rates.as_of_date') }} as first_day,
        rates.lines,
        rates.projected_rate,
        rates.projected_lo,
        rates.projected_hi
    from {{ ref('rpt_rates') }} as rates
    left join {{ ref('rpt_members') }} as members
        on
            rates.source = members.source
            and rates.marketplace_key + rates.seller_key + rates.category_key = members.member_key
            and members.dimension = case
                when rates.seller_key > 0 then 'seller'
                when rates.category_key > 0 then 'category'
                else 'marketplace'
            end
    where
        rates.lines = rates.comparable_lines
        and rates.marketplace_key >= 0
        and rates.seller_key >= 0
        and rates.category_key >= 0
        and 0 in (
            rates.marketplace_key + rates.seller_key,
            rates.marketplace_key + rates.category_key,
            rates.seller_key + rates.category_key
        )

)

select
    'the days of rpt_sales add up to order_lines' as claim,
    ledger.source,
    cast(ledger.lines as string) as example
from ledger
left join shown
    on ledger.source = shown.source
where
    shown.lines is null
    or shown.lines <> ledger.lines
    or shown.comparable_lines <> ledger.comparable_lines
    or shown.returned_lines <> ledger.returned_lines
    or shown.net_amount <> ledger.net_amount
    or shown.refund_amount <> ledger.refund_amount

union all

select
    'the members of each filter add up to order_lines' as claim,
    members.source,
    members.dimension as example
from members
inner join ledger
    on members.source = ledger.source
where members.lines <> ledger.lines or members.net_amount <> ledger.net_amount

union all

select
    'the windows of rpt_rates add up to rpt_sales' as claim,
    rates.source,
    cast(rates.window_days as string) as example
from {{ ref('rpt_rates') }} as rates
inner join windows
    on
        rates.source = windows.source
        and rates.window_days = windows.window_days
where
    rates.marketplace_key = 0
    and rates.seller_key = 0
    and rates.category_key = 0
    and (
        rates.lines <> windows.lines
        or rates.returned_lines <> windows.returned_lines
        or rates.effective_exposure <> windows.effective_exposure
    )

union all

-- a seller sells little in each selection: its windows add up over categories as well
select
    'the categories of a selection add up to it' as claim,
    whole.source,
    concat(cast(whole.window_days as string), ' days, seller ', cast(whole.seller_key as string))
        as example
from {{ ref('rpt_rates') }} as whole
inner join {{ ref('rpt_rates') }} as parts
    on
        whole.source = parts.source
        and whole.window_days = parts.window_days
        and whole.marketplace_key = parts.marketplace_key
        and whole.seller_key = parts.seller_key
        and parts.category_key <> 0
where whole.category_key = 0
group by whole.source, whole.window_days, whole.marketplace_key, whole.seller_key, whole.lines
having sum(parts.lines) <> whole.lines

union all

-- one question, one answer: what a page shows of thirty days is what another shows of that month
select
    'a window that is a whole month has the rate of return_rates' as claim,
    selected.source,
    concat(months.entity_type, ' ', months.entity_id) as example
from selected
inner join months
    on
        selected.source = months.source
        and selected.first_day = months.period_start
        and selected.entity_type = months.entity_type
        and selected.entity_id = months.entity_id
where
    selected.lines <> months.denominator
    or abs(selected.projected_rate - months.projected_rate) > 1e-8
    or abs(selected.projected_lo - months.projected_lo) > 1e-8
    or abs(selected.projected_hi - months.projected_hi) > 1e-8

union all

select
    'statements are ranked from 1' as claim,
    source,
    section as example
from {{ ref('rpt_statements') }}
group by source, section
having count(*) <> max(statement_rank)

union all

select
    'a seller shows its newest lines' as claim,
    orders.source,
    orders.order_line_id as example
from {{ ref('rpt_seller_orders') }} as orders
left join {{ ref('order_lines') }} as order_lines
    on
        orders.source = order_lines.source
        and orders.order_line_id = order_lines.order_line_id
where order_lines.order_line_id is null or orders.net_amount <> order_lines.net_amount
