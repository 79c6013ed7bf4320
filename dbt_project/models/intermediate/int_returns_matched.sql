-- One row per return and order line that really gives units back, one more for units that no sale
-- covers, and one for a return that the order line it names contradicts.

with returns as (

    select * from {{ ref('int_returns_resolved') }} where disposition = 'return'

),

claims as (

    select * from {{ ref('int_returns_claimed') }}

),

-- a line gives back what it sold, first come first served
queued as (

    select
        *,
        case
            when order_line_id is not null and reject_reasons is null
                then sum(case when reject_reasons is null then claimed_quantity else 0 end) over (
                    partition by source, order_line_id
                    order by claimed_at, return_id
                    rows between unbounded preceding and current row
                ) - claimed_quantity
        end as claimed_before
    from claims

),

-- who names the line and asks for more than it sold is in error; who does not loses the excess
granted as (

    select
        *,
        case
            when excluded_by is not null then 'excluded'
            when reject_reasons is not null then 'rejected'
            when
                match_method in ('order_line', 'line_status')
                and claimed_before + claimed_quantity > sold_quantity
                then 'rejected'
            else 'return'
        end as disposition,
        case
            when
                match_method in ('order_line', 'line_status')
                and reject_reasons is null
                and claimed_before + claimed_quantity > sold_quantity
                then 'returned_more_than_sold'
            else reject_reasons
        end as all_reject_reasons,
        case
            when order_line_id is null then 0
            else greatest(0, least(claimed_quantity, sold_quantity - claimed_before))
        end as granted_quantity
    from queued

),

matched as (

    select
        source,
        return_id,
        disposition,
        excluded_by,
        all_reject_reasons as reject_reasons,
        order_line_id,
        match_method,
        granted_quantity as quantity,
        ordered_at,
        sold_quantity,
        net_amount,
        line_fx_rate,
        line_order_id,
        line_customer_id,
        line_product_id,
        line_seller_id,
        line_marketplace,
        line_category,
        line_country
    from granted
    where disposition = 'return' and granted_quantity > 0

),

turned_away as (

    select
        source,
        return_id,
        disposition,
        excluded_by,
        all_reject_reasons as reject_reasons,
        cast(null as string) as order_line_id,
        cast(null as string) as match_method,
        return_quantity as quantity,
        cast(null as timestamp) as ordered_at,
        cast(null as bigint) as sold_quantity,
        cast(null as decimal(18, 4)) as net_amount,
        cast(null as decimal(18, 6)) as line_fx_rate,
        cast(null as string) as line_order_id,
        cast(null as string) as line_customer_id,
        cast(null as string) as line_product_id,
        cast(null as string) as line_seller_id,
        cast(null as string) as line_marketplace,
        cast(null as string) as line_category,
        cast(null as string) as line_country
    from granted
    where disposition in ('excluded', 'rejected')

),

granted_totals as (

    select
        source,
        return_id,
        max(return_quantity) as return_quantity,
        sum(granted_quantity) as granted_quantity
    from granted
    where disposition = 'return'
    group by source, return_id

),

unmatched as (

    select
        source,
        return_id,
        'return' as disposition,
        cast(null as string) as excluded_by,
        cast(null as string) as reject_reasons,
        cast(null as string) as order_line_id,
        'unmatched' as match_method,
        return_quantity - granted_quantity as quantity,
        cast(null as timestamp) as ordered_at,
        cast(null as bigint) as sold_quantity,
        cast(null as decimal(18, 4)) as net_amount,
        cast(null as decimal(18, 6)) as line_fx_rate,
        cast(null as string) as line_order_id,
        cast(null as string) as line_customer_id,
        cast(null as string) as line_product_id,
        cast(null as string) as line_seller_id,
        cast(null as string) as line_marketplace,
        cast(null as string) as line_category,
        cast(null as string) as line_country
    from granted_totals
    where return_quantity > granted_quantity

),

allocations as (

    select * from matched
    union all
    select * from turned_away
    union all
    select * from unmatched

),

-- the refund follows the units; rounding goes where the running total puts it, so parts add up
spread as (

    select
        *,
        row_number() over (
            partition by source, return_id
            order by
                case when match_method = 'unmatched' then 1 else 0 end,
                ordered_at desc,
                order_line_id
        ) as allocation_number,
        sum(quantity) over (
            partition by source, return_id
            order by
                case when match_method = 'unmatched' then 1 else 0 end,
                ordered_at desc,
                order_line_id
            rows between unbounded preceding and current row
        ) as quantity_so_far
    from allocations

),

valued as (

    select
        spread.*,
        returns.file,
        returns.row_number,
        returns.order_id as named_order_id,
        returns.product_id as named_product_id,
        returns.customer_id as named_customer_id,
        returns.order_line_id as named_line_id,
        returns.country as named_country,
        returns.reason,
        returns.condition,
        returns.returned_at,
        returns.is_from_status,
        {{ return_moment('returns.returned_at') }} as claimed_at,
        case
            when returns.refund_amount is not null then 'given'
            when spread.order_line_id is not null then 'sale_price'
            else 'unknown'
        end as refund_basis,
        returns.fx_rate as return_fx_rate,
        cast(
            round(returns.refund_amount * spread.quantity_so_far / returns.quantity, 4)
            - round(
                returns.refund_amount
                * (spread.quantity_so_far - spread.quantity)
                / returns.quantity,
                4
            ) as decimal(18, 4)
        ) as original_refund_amount
    from spread
    inner join returns
        on
            spread.source = returns.source
            and spread.return_id = returns.return_id

),

-- in the reporting currency at the rate of the sale, so that a full refund leaves nothing kept
converted as (

    select
        *,
        case
            when original_refund_amount is not null
                then cast(
                    round(
                        original_refund_amount * coalesce(line_fx_rate, return_fx_rate, 0), 4
                    ) as decimal(18, 4)
                )
            when order_line_id is not null
                then cast(
                    round(net_amount * quantity / sold_quantity, 4) as decimal(18, 4)
                )
            else cast(0 as decimal(18, 4))
        end as paid_back_amount
    from valued

),

-- a line cannot give back more money than it sold for: the rest is goodwill, shipping, price drift
line_totals as (

    select
        *,
        case
            when order_line_id is not null
                then sum(paid_back_amount) over (
                    partition by source, order_line_id
                    order by claimed_at, return_id
                    rows between unbounded preceding and current row
                )
        end as paid_back_so_far
    from converted

),

final as (

    select
        source,
        return_id,
        cast(allocation_number as bigint) as allocation_number,
        disposition,
        excluded_by,
        reject_reasons,
        order_line_id,
        match_method,
        case
            when match_method <> 'unmatched' then null
            when named_line_id is not null then 'order_line_not_found'
            when named_order_id is null and named_customer_id is null then 'names_only_a_product'
            else 'no_earlier_sale_with_units_left'
        end as unmatched_reason,
        named_order_id,
        named_product_id,
        named_customer_id,
        named_country,
        ordered_at,
        line_order_id,
        line_customer_id,
        line_product_id,
        line_seller_id,
        line_marketplace,
        line_category,
        line_country,
        reason,
        condition,
        returned_at,
        cast(quantity as bigint) as quantity,
        cast(
            case
                when order_line_id is null then paid_back_amount
                else
                    least(paid_back_so_far, net_amount)
                    - least(paid_back_so_far - paid_back_amount, net_amount)
            end as decimal(18, 4)
        ) as refund_amount,
        cast(
            case
                when order_line_id is null then 0
                else
                    paid_back_amount - least(paid_back_so_far, net_amount)
                    + least(paid_back_so_far - paid_back_amount, net_amount)
            end as decimal(18, 4)
        ) as excess_refund_amount,
        refund_basis,
        is_from_status,
        coalesce(original_refund_amount, 0) as original_refund_amount,
        file,
        row_number
    from line_totals

)

select * from final
