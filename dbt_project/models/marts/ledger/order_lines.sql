with order_lines as (

    select * from {{ ref('int_order_lines_resolved') }} where disposition = 'order_line'

),

returns as (

    select * from {{ ref('int_returns_matched') }}
    where disposition = 'return' and order_line_id is not null

),

-- as known on the as-of date itself; a source without dated returns has no rows here
maturities as (

    select
        maturities.source,
        maturities.ordered_date,
        maturities.marketplace,
        maturities.stratum_1,
        maturities.stratum_2,
        maturities.maturity,
        maturities.maturity_se
    from {{ ref('int_maturities') }} as maturities
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on
            maturities.source = as_of_dates.source
            and maturities.as_of_date = as_of_dates.as_of_date
            and as_of_dates.is_current

),

sources_with_curve as (

    select distinct source from maturities

),

line_returns as (

    select
        source,
        order_line_id,
        count(*) as return_count,
        sum(quantity) as returned_quantity,
        sum(refund_amount) as refund_amount,
        sum(excess_refund_amount) as excess_refund_amount,
        min(returned_at) as first_returned_at
    from returns
    group by source, order_line_id

),

keyed as (

    select
        *,
        cast(ordered_at as date) as ordered_date,
        {{ days_between('ordered_at', 'as_of_date') }} as age_days,
        {{ completion_stratum(1) }} as stratum_1,
        {{ completion_stratum(2) }} as stratum_2
    from order_lines

),

joined as (

    select
        keyed.*,
        coalesce(line_returns.return_count, 0) as return_count,
        coalesce(line_returns.returned_quantity, 0) as returned_quantity,
        coalesce(line_returns.refund_amount, 0) as refund_amount,
        coalesce(line_returns.excess_refund_amount, 0) as excess_refund_amount,
        line_returns.first_returned_at,
        {{ days_between('keyed.ordered_at', 'line_returns.first_returned_at') }}
            as days_to_return,
        sources_with_curve.source is not null as has_curve,
        maturities.maturity as curve_maturity,
        maturities.maturity_se as curve_maturity_se
    from keyed
    left join line_returns
        on
            keyed.source = line_returns.source
            and keyed.order_line_id = line_returns.order_line_id
    left join sources_with_curve
        on keyed.source = sources_with_curve.source
    left join maturities
        on
            keyed.source = maturities.source
            and keyed.ordered_date = maturities.ordered_date
            and coalesce(keyed.marketplace, 'unknown') = maturities.marketplace
            and keyed.stratum_1 = maturities.stratum_1
            and keyed.stratum_2 = maturities.stratum_2

),

-- of what was not sold nothing can come; beyond the curve everything has; without a curve the
-- return window decides, and what is younger is unknown
aged as (

    select
        *,
        case
            when sale_status <> 'sold' then 1
            when has_curve then coalesce(curve_maturity, 1)
            when age_days >= {{ var('return_window_days') | int }} then 1
        end as maturity,
        case
            when sale_status <> 'sold' then 0
            when has_curve then coalesce(curve_maturity_se, 0)
            when age_days >= {{ var('return_window_days') | int }} then 0
        end as maturity_se
    from joined

),

matured as (

    select
        *,
        coalesce(100 * maturity >= {{ policy_value('mature_completion_percent') }}, false)
            as is_mature
    from aged

),

classed as (

    select
        *,
        case
            when sale_status in ('cancelled', 'undelivered') then sale_status
            when returned_quantity > 0 then 'returned'
            -- a line that says returned while its return was rejected: nobody knows
            when return_status in ('unknown', 'returned') or not has_returns then 'unknown'
            when is_mature or return_status = 'kept' then 'kept'
            else 'open'
        end as return_class
    from matured

),

final as (

    select
        source,
        order_line_id,
        order_id,
        customer_id,
        product_id,
        seller_id,
        marketplace,
        category,
        brand,
        size,
        colour,
        country,
        channel,
        payment_method,
        customer_type,
        currency,
        ordered_at,
        ordered_date,
        promised_at,
        delivered_at,
        cancelled_at,
        cast(ordered_quantity as bigint) as ordered_quantity,
        cast(quantity as bigint) as quantity,
        unit_price,
        discount_amount,
        tax_amount,
        shipping_amount,
        ordered_amount,
        net_amount,
        original_currency,
        original_amount,
        fx_rate,
        sale_status = 'sold' as is_sale,
        cast(return_count as bigint) as return_count,
        cast(returned_quantity as bigint) as returned_quantity,
        cast(refund_amount as decimal(18, 4)) as refund_amount,
        cast(excess_refund_amount as decimal(18, 4)) as excess_refund_amount,
        cast(net_amount - refund_amount as decimal(18, 4)) as kept_amount,
        case
            when return_class = 'returned' then true
            when return_class in ('kept', 'open') then false
        end as is_returned,
        return_class,
        first_returned_at,
        cast(days_to_return as bigint) as days_to_return,
        cast(age_days as bigint) as age_days,
        cast(maturity as decimal(9, 6)) as maturity,
        cast(maturity_se as decimal(9, 6)) as maturity_se,
        is_mature,
        as_of_date,
        file,
        row_number
    from classed

)

select * from final
