-- return_basis_bridge: every day of both date bases is the sum of its cells, exactly

with bridge as (

    select * from {{ ref('return_basis_bridge') }}

),

kpis as (

    select * from {{ ref('kpis_daily') }}

),

by_event_date as (

    select
        source,
        event_date,
        sum(returned_units) as returned_units,
        sum(returned_amount + excess_refund_amount) as refund_amount,
        sum(excess_refund_amount) as excess_refund_amount,
        sum(case when is_unmatched then returned_amount else 0 end) as unmatched_refund_amount
    from bridge
    group by source, event_date

),

by_sale_date as (

    select
        source,
        sale_date,
        sum(returned_units) as returned_units,
        sum(returned_amount) as refund_amount
    from bridge
    where not is_unmatched
    group by source, sale_date

),

unequal_event_days as (

    select
        'the cells of an event date add up to the event view of the day' as claim,
        coalesce(kpis.source, by_event_date.source) as source,
        cast(coalesce(kpis.day, by_event_date.event_date) as string) as example
    from kpis
    full outer join by_event_date
        on
            kpis.source = by_event_date.source
            and kpis.day = by_event_date.event_date
    where
        kpis.source is null
        or kpis.returned_units_by_event_date <> coalesce(by_event_date.returned_units, 0)
        or kpis.refund_amount_by_event_date <> coalesce(by_event_date.refund_amount, 0)
        or kpis.excess_refund_amount <> coalesce(by_event_date.excess_refund_amount, 0)
        or kpis.unmatched_refund_amount <> coalesce(by_event_date.unmatched_refund_amount, 0)

),

unequal_sale_days as (

    select
        'the cells of a sale date add up to the sale view of the day' as claim,
        coalesce(kpis.source, by_sale_date.source) as source,
        cast(coalesce(kpis.day, by_sale_date.sale_date) as string) as example
    from kpis
    full outer join by_sale_date
        on
            kpis.source = by_sale_date.source
            and kpis.day = by_sale_date.sale_date
    where
        kpis.source is null
        or kpis.returned_units_by_sale_date <> coalesce(by_sale_date.returned_units, 0)
        or kpis.refund_amount_by_sale_date <> coalesce(by_sale_date.refund_amount, 0)

)

select * from unequal_event_days
union all
select * from unequal_sale_days
