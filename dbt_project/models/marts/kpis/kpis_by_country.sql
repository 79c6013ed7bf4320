with kpis as (

    select * from {{ ref('int_kpis_by_day_and_country') }}

),

orders as (

    select * from {{ ref('orders') }} where is_sale

),

sources as (

    select * from {{ ref('int_sources') }}

),

by_country as (

    select
        source,
        country,
        {%- for column in additive_kpis() %}
        sum({{ column }}) as {{ column }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from kpis
    group by source, country

),

active as (

    select
        source,
        coalesce(country, 'unknown') as country,
        count(distinct customer_id) as active_customers
    from orders
    group by source, coalesce(country, 'unknown')

),

joined as (

    select
        by_country.*,
        sources.reporting_currency,
        sources.as_of_date,
        active.active_customers
    from by_country
    left join active
        on
            by_country.source = active.source
            and by_country.country = active.country
    left join sources
        on by_country.source = sources.source

),

final as (

    select
        source,
        country,
        reporting_currency as currency,
        {{ kpi_columns() }},
        as_of_date
    from joined

)

select * from final
