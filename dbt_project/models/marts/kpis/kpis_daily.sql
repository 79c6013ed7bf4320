with days as (

    select * from {{ ref('int_days') }}

),

kpis as (

    select * from {{ ref('int_kpis_by_day_and_country') }}

),

orders as (

    select * from {{ ref('orders') }} where is_sale

),

sources as (

    select * from {{ ref('int_sources') }}

),

daily as (

    select
        source,
        day,
        {%- for column in additive_kpis() %}
        sum({{ column }}) as {{ column }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from kpis
    group by source, day

),

active as (

    select
        source,
        ordered_date,
        count(distinct customer_id) as active_customers
    from orders
    group by source, ordered_date

),

-- a day without any event is a row of zeros, not a gap
joined as (

    select
        daily.*,
        days.source as day_source,
        days.day as calendar_day,
        days.as_of_date,
        sources.reporting_currency,
        active.active_customers
    from days
    left join daily
        on
            days.source = daily.source
            and days.day = daily.day
    left join active
        on
            days.source = active.source
            and days.day = active.ordered_date
    left join sources
        on days.source = sources.source

),

final as (

    select
        day_source as source,
        calendar_day as day,
        reporting_currency as currency,
        {{ kpi_columns() }},
        as_of_date
    from joined

)

select * from final
