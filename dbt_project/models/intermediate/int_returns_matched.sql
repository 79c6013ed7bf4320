-- What the units are worth: the granted returns with the money that went back, in the reporting
-- currency and never more than the line sold for.

with allocations as (

    select * from {{ ref('int_returns_granted') }}

),

returns as (

    select * from {{ ref('int_returns_resolved') }} where disposition = 'return'

),

claims as (

    select * from {{ ref('int_returns_claimed') }}

),

weighed as (

    select
        *,
        case
            when sum(weight) over (partition by source, return_id) > 0 then coalesce(weight, 0)
            else quantity
        end as share
    from allocations

),

-- the parts of one return in a fixed order: latest sale first, what no sale covers last
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
        sum(share) over (partition by source, return_id) as all_shares,
        sum(share) over (
            partition by source, return_id
            order by
                case when match_method = 'unmatched' then 1 else 0 end,
                ordered_at desc,
                order_line_id
            rows between unbounded preceding and current row
        ) as shares_so_far
    from weighed

),

-- rounding goes where the running total puts it, so that the parts add up to the refund
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
        returns.fx_rate as return_fx_rate,
        returns.currency as return_currency,
        cast(
            case
                when spread.shares_so_far = spread.all_shares then returns.refund_amount
                else round(returns.refund_amount * spread.shares_so_far / spread.all_shares, 4)
            end
            - round(
                returns.refund_amount * (spread.shares_so_far - spread.share) / spread.all_shares,
                4
            ) as decimal(18, 4)
        ) as original_refund_amount
    from spread
    inner join returns
        on
            spread.source = returns.source
            and spread.return_id = returns.return_id

),

-- a refund in the currency of the sale takes the rate of the sale, so that a full refund leaves
-- nothing kept; any other takes the rate of its own month
rated as (

    select
        valued.*,
        claims.line_order_id,
        claims.line_customer_id,
        claims.line_product_id,
        claims.line_seller_id,
        claims.line_marketplace,
        claims.line_category,
        claims.line_country,
        claims.line_currency,
        claims.net_amount,
        claims.sold_quantity,
        case
            when
                claims.order_line_id is not null
                and coalesce(valued.return_currency, claims.line_currency) = claims.line_currency
                then claims.line_fx_rate
            else valued.return_fx_rate
        end as refund_fx_rate,
        sum(valued.quantity) over (
            partition by valued.source, valued.order_line_id
            order by valued.claimed_at, valued.return_id
            rows between unbounded preceding and current row
        ) as line_quantity_so_far
    from valued
    left join claims
        on
            valued.source = claims.source
            and valued.return_id = claims.return_id
            and valued.order_line_id = claims.order_line_id

),

-- a refund that nobody stated is what was paid for the units
converted as (

    select
        *,
        original_refund_amount is not null and refund_fx_rate is not null as is_given,
        cast(
            case
                when original_refund_amount is not null
                    then coalesce({{ converted('original_refund_amount', 'refund_fx_rate') }}, 0)
                when order_line_id is not null
                    then
                    round(net_amount * line_quantity_so_far / sold_quantity, 4)
                    - round(net_amount * (line_quantity_so_far - quantity) / sold_quantity, 4)
                else 0
            end as decimal(18, 4)
        ) as paid_back_amount
    from rated

),

-- a line cannot give back more money than it sold for: the rest is goodwill, shipping, price drift
line_totals as (

    select
        source,
        return_id,
        order_line_id,
        sum(paid_back_amount) over (
            partition by source, order_line_id
            order by claimed_at, return_id
            rows between unbounded preceding and current row
        ) as paid_back_so_far
    from converted
    where order_line_id is not null

),

capped as (

    select
        converted.*,
        case
            when converted.order_line_id is null then converted.paid_back_amount
            else
                least(line_totals.paid_back_so_far, converted.net_amount)
                - least(
                    line_totals.paid_back_so_far - converted.paid_back_amount,
                    converted.net_amount
                )
        end as refund_amount
    from converted
    left join line_totals
        on
            converted.source = line_totals.source
            and converted.return_id = line_totals.return_id
            and converted.order_line_id = line_totals.order_line_id

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
            when came_too_late then 'sale_already_returned'
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
        line_currency,
        reason,
        condition,
        returned_at,
        cast(quantity as bigint) as quantity,
        cast(refund_amount as decimal(18, 4)) as refund_amount,
        -- only money that somebody says was paid can be too much
        cast(
            case when is_given then paid_back_amount - refund_amount else 0 end as decimal(18, 4)
        ) as excess_refund_amount,
        case
            when is_given then 'given'
            when order_line_id is not null then 'sale_price'
            else 'unknown'
        end as refund_basis,
        is_from_status,
        coalesce(original_refund_amount, 0) as original_refund_amount,
        file,
        row_number
    from capped

)

select * from final
