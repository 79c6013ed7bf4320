-- What was sold on each day, by everything that a completion curve or a reserve is cut by: all
-- replays work on these few rows instead of on order lines.

with order_lines as (

    select * from {{ ref('int_order_lines_resolved') }}
    where disposition = 'order_line' and sale_status = 'sold'

),

named as (

    select
        source,
        cast(ordered_at as date) as ordered_date,
        coalesce(marketplace, 'unknown') as marketplace,
        coalesce(category, 'unknown') as category,
        coalesce(country, 'unknown') as country,
        coalesce(original_currency, 'unknown') as original_currency,
        quantity,
        net_amount
    from order_lines

),

cells as (

    select
        source,
        ordered_date,
        marketplace,
        category,
        country,
        original_currency,
        count(*) as line_count,
        sum(quantity) as quantity,
        sum(net_amount) as net_amount,
        sum({{ crossed('quantity', 'quantity') }}) as squared_quantity,
        sum({{ crossed('net_amount', 'net_amount') }}) as squared_amount
    from named
    group by source, ordered_date, marketplace, category, country, original_currency

),

stratified as (

    select
        *,
        {{ completion_stratum(1) }} as stratum_1,
        {{ completion_stratum(2) }} as stratum_2
    from cells

),

-- whole numbers to join replays by: the cell, and all cells of one maturity
final as (

    select
        cast(
            row_number() over (
                order by source, ordered_date, marketplace, category, country, original_currency
            ) as bigint
        ) as cell_id,
        cast(
            dense_rank() over (
                order by source, ordered_date, marketplace, stratum_1, stratum_2
            ) as bigint
        ) as maturity_id,
        source,
        ordered_date,
        marketplace,
        category,
        country,
        original_currency,
        stratum_1,
        stratum_2,
        cast(line_count as bigint) as line_count,
        cast(quantity as bigint) as quantity,
        cast(net_amount as decimal(18, 4)) as net_amount,
        cast(squared_quantity as double) as squared_quantity,
        cast(squared_amount as double) as squared_amount
    from stratified

)

select * from final
