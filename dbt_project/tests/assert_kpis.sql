-- kpis_daily, kpis_monthly and kpis_by_country add up to the ledger and to one another

with line_sums as (

    select
        source,
        count(*) as order_lines,
        sum(net_amount) as gross_revenue,
        sum(kept_amount) as net_revenue
    from {{ ref('order_lines') }}
    where is_sale
    group by source

),

return_sums as (

    select
        source,
        sum(quantity) as returned_units,
        sum(refund_amount + excess_refund_amount) as refund_amount
    from {{ ref('returns') }}
    group by source

),

{%- for mart in ['kpis_daily', 'kpis_monthly', 'kpis_by_country'] %}

{{ mart }}_sums as (

    select
        source,
        '{{ mart }}' as mart,
        {%- for column in additive_kpis() %}
        sum({{ column }}) as {{ column }},
        {%- endfor %}
        sum(net_revenue) as net_revenue,
        sum(net_revenue_by_event_date) as net_revenue_by_event_date
    from {{ ref(mart) }}
    group by source

),
{%- endfor %}

sums as (

    select * from kpis_daily_sums
    union all
    select * from kpis_monthly_sums
    union all
    select * from kpis_by_country_sums

),

marts as (

    select 'kpis_daily' as mart
    union all
    select 'kpis_monthly' as mart
    union all
    select 'kpis_by_country' as mart

),

ledger as (

    select
        coalesce(line_sums.source, return_sums.source) as source,
        coalesce(line_sums.order_lines, 0) as order_lines,
        coalesce(line_sums.gross_revenue, 0) as gross_revenue,
        coalesce(line_sums.net_revenue, 0) as net_revenue,
        coalesce(return_sums.returned_units, 0) as returned_units,
        coalesce(return_sums.refund_amount, 0) as refund_amount
    from line_sums
    full outer join return_sums
        on line_sums.source = return_sums.source

),

unequal_to_ledger as (

    select
        'the KPIs add up to the ledger' as claim,
        ledger.source,
        marts.mart as example
    from ledger
    cross join marts
    left join sums
        on
            ledger.source = sums.source
            and marts.mart = sums.mart
    where
        sums.source is null
        or sums.order_lines <> ledger.order_lines
        or sums.gross_revenue <> ledger.gross_revenue
        or sums.net_revenue <> ledger.net_revenue
        or sums.returned_units_by_event_date <> ledger.returned_units
        or sums.refund_amount_by_event_date <> ledger.refund_amount

),

unequal_bases as (

    select
        'both date bases differ by unmatched and excess refunds only' as claim,
        source,
        mart as example
    from sums
    where
        net_revenue_by_event_date
        <> net_revenue - unmatched_refund_amount - excess_refund_amount

),

unequal_marts as (

    select
        'days, months and countries add up to the same' as claim,
        kpis_daily_sums.source,
        sums.mart as example
    from kpis_daily_sums
    inner join sums
        on kpis_daily_sums.source = sums.source
    where
        false
        {%- for column in additive_kpis() %}
        or kpis_daily_sums.{{ column }} <> sums.{{ column }}
        {%- endfor %}

)

select * from unequal_to_ledger
union all
select * from unequal_bases
union all
select * from unequal_marts
