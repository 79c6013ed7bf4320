with order_lines as (

    select * from {{ ref('order_lines') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

-- the lines of one order agree on customer, marketplace and country in clean data; if they do not,
-- the last in the alphabet stands for all and is_ambiguous says so
totals as (

    select
        source,
        order_id,
        max(customer_id) as customer_id,
        min(customer_id) as other_customer_id,
        max(marketplace) as marketplace,
        min(marketplace) as other_marketplace,
        max(country) as country,
        min(ordered_at) as ordered_at,
        count(*) as line_count,
        sum(case when is_sale then 1 else 0 end) as sold_line_count,
        sum(case when return_class = 'returned' then 1 else 0 end) as returned_line_count,
        sum(case when is_mature then 0 else 1 end) as young_line_count,
        sum(case when is_sale then coalesce(maturity, 1) else 0 end) as effective_exposure,
        sum(quantity) as quantity,
        sum(returned_quantity) as returned_quantity,
        sum(ordered_amount) as ordered_amount,
        sum(net_amount) as net_amount,
        sum(refund_amount) as refund_amount,
        sum(excess_refund_amount) as excess_refund_amount
    from order_lines
    group by source, order_id

),

final as (

    select
        totals.source,
        totals.order_id,
        totals.customer_id,
        totals.marketplace,
        totals.country,
        sources.reporting_currency as currency,
        totals.ordered_at,
        cast(totals.ordered_at as date) as ordered_date,
        totals.line_count,
        cast(totals.sold_line_count as bigint) as sold_line_count,
        cast(totals.returned_line_count as bigint) as returned_line_count,
        cast(totals.effective_exposure as decimal(18, 6)) as effective_exposure,
        cast(totals.quantity as bigint) as quantity,
        cast(totals.returned_quantity as bigint) as returned_quantity,
        cast(totals.ordered_amount as decimal(18, 4)) as ordered_amount,
        cast(totals.net_amount as decimal(18, 4)) as net_amount,
        cast(totals.refund_amount as decimal(18, 4)) as refund_amount,
        cast(totals.excess_refund_amount as decimal(18, 4)) as excess_refund_amount,
        cast(totals.net_amount - totals.refund_amount as decimal(18, 4)) as kept_amount,
        totals.sold_line_count > 0 as is_sale,
        totals.returned_quantity > 0 as has_return,
        totals.quantity > 0 and totals.returned_quantity = totals.quantity as is_fully_returned,
        totals.returned_quantity < totals.quantity as is_kept,
        totals.young_line_count = 0 as is_mature,
        coalesce(totals.customer_id <> totals.other_customer_id, false)
        or coalesce(totals.marketplace <> totals.other_marketplace, false) as is_ambiguous,
        sources.as_of_date
    from totals
    left join sources
        on totals.source = sources.source

)

select * from final
