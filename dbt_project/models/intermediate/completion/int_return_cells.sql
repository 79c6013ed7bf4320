-- What came back of each cell of sales, by age in days: the triangle of all returns that have a
-- sale and a date. `return_count` counts returns of lines, so that a wholesale line of a thousand
-- units does not decide the curve.

with returns as (

    select * from {{ ref('int_returns_matched') }}
    where disposition = 'return' and order_line_id is not null and returned_at is not null

),

sale_cells as (

    select * from {{ ref('int_sale_cells') }}

),

aged as (

    select
        *,
        cast(ordered_at as date) as ordered_date,
        {{ days_between('ordered_at', 'returned_at') }} as days_to_return,
        row_number() over (
            partition by source, order_line_id order by returned_at, return_id, allocation_number
        ) as return_number
    from returns

),

-- one parcel with several lines is one event in a statistical sense: how clumped returns are
clumps as (

    select
        source,
        ordered_date,
        coalesce(line_marketplace, 'unknown') as marketplace,
        coalesce(line_category, 'unknown') as category,
        coalesce(line_country, 'unknown') as country,
        coalesce(line_currency, 'unknown') as original_currency,
        line_order_id,
        days_to_return,
        count(*) as return_count,
        sum(case when return_number = 1 then 1 else 0 end) as returned_line_count,
        sum(quantity) as quantity,
        sum(refund_amount) as refund_amount
    from aged
    group by
        source,
        ordered_date,
        coalesce(line_marketplace, 'unknown'),
        coalesce(line_category, 'unknown'),
        coalesce(line_country, 'unknown'),
        coalesce(line_currency, 'unknown'),
        line_order_id,
        days_to_return

),

cells as (

    select
        source,
        ordered_date,
        marketplace,
        category,
        country,
        original_currency,
        days_to_return,
        sum(return_count) as return_count,
        sum(return_count * return_count) as squared_return_count,
        sum(returned_line_count) as returned_line_count,
        sum(quantity) as quantity,
        sum(refund_amount) as refund_amount
    from clumps
    group by
        source, ordered_date, marketplace, category, country, original_currency, days_to_return

),

final as (

    select
        sale_cells.cell_id,
        cells.source,
        cells.ordered_date,
        cells.marketplace,
        cells.category,
        cells.country,
        cells.original_currency,
        sale_cells.stratum_1,
        sale_cells.stratum_2,
        cast(cells.days_to_return as bigint) as days_to_return,
        cast({{ dbt.dateadd('day', 'cells.days_to_return', 'cells.ordered_date') }} as date)
            as returned_date,
        cast(cells.return_count as bigint) as return_count,
        cast(cells.squared_return_count as bigint) as squared_return_count,
        cast(cells.returned_line_count as bigint) as returned_line_count,
        cast(cells.quantity as bigint) as quantity,
        cast(cells.refund_amount as decimal(18, 4)) as refund_amount
    from cells
    inner join sale_cells
        on
            cells.source = sale_cells.source
            and cells.ordered_date = sale_cells.ordered_date
            and cells.marketplace = sale_cells.marketplace
            and cells.category = sale_cells.category
            and cells.country = sale_cells.country
            and cells.original_currency = sale_cells.original_currency

)

select * from final
