-- The KPI tables, from sold_lines and booked_returns.

create temp table sold_orders as
with line_returns as (
    select
        line,
        sum(quantity) as returned_quantity,
        sum(refund_amount) as refund_amount,
    from booked_returns
    group by line
)
select
    order_id,
    max(customer_id) as customer_id,
    max(country) as country,
    cast(min(ordered_at) as date) as ordered_date,
    sum(quantity) as quantity,
    sum(coalesce(returned_quantity, 0)) as returned_quantity,
    sum(net_amount) as net_amount,
    sum(net_amount - coalesce(refund_amount, 0)) as kept_amount,
from sold_lines
left join line_returns on sold_lines.rowid = line_returns.line
group by order_id;

create table kpis_by_day_and_country as
with parts as (
    select
        cast(ordered_at as date) as day,
        country,
        0 as orders,
        count(*) as order_lines,
        sum(quantity) as units,
        sum(net_amount) as gross_revenue,
        0 as returned_units,
        0 as refund_amount,
    from sold_lines
    group by day, country
    union all
    select ordered_date, country, count(*), 0, 0, 0, 0, 0 from sold_orders
    group by ordered_date, country
    union all
    select cast(returned_at as date), country, 0, 0, 0, 0, sum(quantity), sum(refund_amount)
    from booked_returns
    group by cast(returned_at as date), country
)
select
    day,
    coalesce(country, 'unknown') as country,
    sum(columns(* exclude (day, country))),
from parts
group by day, country;

create table kpis_daily as
with active as (
    select ordered_date as day, count(distinct customer_id) as active_customers from sold_orders
    group by ordered_date
)
select *, from (
    select day, sum(columns(* exclude (day, country))), from kpis_by_day_and_country
    group by day
)
left join active using (day)
order by day;

create table kpis_monthly as
with active as (
    select
        date_trunc('month', ordered_date) as month,
        count(distinct customer_id) as active_customers,
    from sold_orders
    group by month
)
select *, from (
    select date_trunc('month', day) as month, sum(columns(* exclude (day, country))),
    from kpis_by_day_and_country
    group by month
)
left join active using (month)
order by month;

create table kpis_by_country as
with active as (
    select country, count(distinct customer_id) as active_customers from sold_orders
    group by country
)
select *, from (
    select country, sum(columns(* exclude (day, country))), from kpis_by_day_and_country
    group by country
)
left join active using (country)
order by country;

create table product_performance as
with returned as (
    select product_id, sum(quantity) as returned_units, sum(refund_amount) as refund_amount,
    from booked_returns
    group by product_id
)
select
    product_id,
    max(category) as category,
    count(*) as order_lines,
    sum(quantity) as units,
    sum(net_amount) as gross_revenue,
    coalesce(max(returned_units), 0) as returned_units,
    coalesce(max(refund_amount), 0) as refund_amount,
    returned_units / sum(quantity) as return_rate,
from sold_lines
left join returned using (product_id)
group by product_id, returned_units;

create table category_performance as
select
    category,
    sum(order_lines) as order_lines,
    sum(units) as units,
    sum(gross_revenue) as gross_revenue,
    sum(returned_units) as returned_units,
    sum(refund_amount) as refund_amount,
    sum(returned_units) / sum(units) as return_rate,
from product_performance
group by category;

create table cohort_retention as
with customer_months as (
    select
        customer_id,
        date_trunc('month', ordered_date) as month,
        count(*) as orders,
        sum(net_amount) as gross_revenue,
        sum(kept_amount) as net_revenue,
    from sold_orders
    where customer_id is not null
    group by customer_id, month
),
cohorts as (
    select customer_id, min(month) as cohort_month from customer_months group by customer_id
),
sizes as (
    select cohort_month, count(*) as cohort_size from cohorts group by cohort_month
)
select
    cohort_month,
    date_diff('month', cohort_month, month) as month_number,
    max(cohort_size) as cohort_size,
    count(*) as active_customers,
    count(*) / max(cohort_size) as retention_rate,
    sum(orders) as orders,
    sum(gross_revenue) as gross_revenue,
    sum(net_revenue) as net_revenue,
from customer_months
inner join cohorts using (customer_id)
inner join sizes using (cohort_month)
group by cohort_month, month;

create table customer_rfm as
with measured as (
    select
        customer_id,
        max(ordered_date) as last_date,
        count(*) filter (returned_quantity < quantity) as frequency,
        sum(kept_amount) as monetary,
    from sold_orders
    where customer_id is not null
    group by customer_id
),
ranked as (
    select
        *,
        (select max(day) from kpis_daily) - last_date as recency_days,
        cast(ceil(5 * cume_dist() over (order by last_date)) as integer) as r_score,
        case
            when frequency <= 1 then 1 when frequency = 2 then 2 when frequency <= 4 then 3
            when frequency <= 9 then 4 else 5
        end as f_score,
        cast(ceil(5 * cume_dist() over (order by monetary)) as integer) as m_score,
    from measured
)
select
    * exclude (last_date),
    case
        when r_score >= 4 and f_score + m_score >= 9 then 'VIP'
        when r_score >= 3 and f_score + m_score >= 7 then 'Loyal'
        when r_score <= 2 and f_score + m_score >= 6 then 'At Risk'
        when r_score >= 3 and f_score + m_score >= 4 then 'Regular'
        else 'Low Value'
    end as rfm_segment,
from ranked;
