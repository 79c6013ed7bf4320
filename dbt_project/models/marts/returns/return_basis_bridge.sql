with returns as (

    select * from {{ ref('returns') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

-- what is unmatched has no day of sale: its cells stand beside the triangle
cells as (

    select
        source,
        booked_date as event_date,
        cast(ordered_at as date) as sale_date,
        count(*) as return_count,
        sum(quantity) as returned_units,
        sum(case when returned_at is null then quantity else 0 end) as undated_units,
        sum(refund_amount) as returned_amount,
        sum(excess_refund_amount) as excess_refund_amount
    from returns
    group by source, booked_date, cast(ordered_at as date)

),

final as (

    select
        cells.source,
        cells.event_date,
        coalesce(cast(cells.sale_date as string), 'unmatched') as sale_date_key,
        cells.sale_date,
        cells.sale_date is null as is_unmatched,
        cast({{ days_between('cells.sale_date', 'cells.event_date') }} as bigint) as days_between,
        sources.reporting_currency as currency,
        cast(cells.return_count as bigint) as return_count,
        cast(cells.returned_units as bigint) as returned_units,
        cast(cells.undated_units as bigint) as undated_units,
        cast(cells.returned_amount as decimal(18, 4)) as returned_amount,
        cast(cells.excess_refund_amount as decimal(18, 4)) as excess_refund_amount,
        sources.as_of_date
    from cells
    left join sources
        on cells.source = sources.source

)

select * from final
