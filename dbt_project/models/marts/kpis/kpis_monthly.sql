with daily as (

    select * from {{ ref('kpis_daily') }}

),

orders as (

    select * from {{ ref('orders') }} where is_sale

),

months as (

    select * from {{ ref('int_months') }}

),

monthly as (

    select
        source,
        {{ month_start('day') }} as month,
        max(currency) as currency,
        {%- for column in additive_kpis() %}
        sum({{ column }}) as {{ column }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from daily
    group by source, {{ month_start('day') }}

),

-- customers do not add up over days: who buys twice counts once
active as (

    select
        source,
        {{ month_start('ordered_date') }} as month,
        count(distinct customer_id) as active_customers
    from orders
    group by source, {{ month_start('ordered_date') }}

),

joined as (

    select
        monthly.*,
        months.is_complete,
        months.as_of_date,
        active.active_customers
    from monthly
    left join months
        on
            monthly.source = months.source
            and monthly.month = months.month_start
    left join active
        on
            monthly.source = active.source
            and monthly.month = active.month

),

final as (

    select
        source,
        month,
        currency,
        {{ kpi_columns() }},
        is_complete,
        as_of_date
    from joined

)

select * from final
