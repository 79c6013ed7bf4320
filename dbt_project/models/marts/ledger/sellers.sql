with order_lines as (

    select * from {{ ref('order_lines') }} where seller_id is not null

),

seller_records as (

    select * from {{ ref('int_sellers_deduplicated') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

seller_lines as (

    select
        source,
        seller_id,
        min(ordered_at) as first_ordered_at,
        max(ordered_at) as last_ordered_at,
        sum(case when is_sale then 1 else 0 end) as line_count,
        sum(case when return_class = 'returned' then 1 else 0 end) as returned_line_count,
        sum(quantity) as quantity,
        sum(returned_quantity) as returned_quantity,
        sum(net_amount) as net_amount,
        sum(refund_amount) as refund_amount,
        sum(kept_amount) as kept_amount
    from order_lines
    group by source, seller_id

),

seller_ids as (

    select
        source,
        seller_id
    from seller_lines

    union

    select
        source,
        seller_id
    from seller_records

),

final as (

    select
        seller_ids.source,
        seller_ids.seller_id,
        seller_records.seller_name,
        seller_records.country,
        seller_records.created_at,
        seller_lines.first_ordered_at,
        seller_lines.last_ordered_at,
        cast(coalesce(seller_lines.line_count, 0) as bigint) as line_count,
        cast(coalesce(seller_lines.returned_line_count, 0) as bigint) as returned_line_count,
        cast(coalesce(seller_lines.quantity, 0) as bigint) as quantity,
        cast(coalesce(seller_lines.returned_quantity, 0) as bigint) as returned_quantity,
        cast(coalesce(seller_lines.net_amount, 0) as decimal(18, 4)) as net_amount,
        cast(coalesce(seller_lines.refund_amount, 0) as decimal(18, 4)) as refund_amount,
        cast(coalesce(seller_lines.kept_amount, 0) as decimal(18, 4)) as kept_amount,
        sources.as_of_date
    from seller_ids
    left join seller_lines
        on
            seller_ids.source = seller_lines.source
            and seller_ids.seller_id = seller_lines.seller_id
    left join seller_records
        on
            seller_ids.source = seller_records.source
            and seller_ids.seller_id = seller_records.seller_id
    left join sources
        on seller_ids.source = sources.source

)

select * from final
