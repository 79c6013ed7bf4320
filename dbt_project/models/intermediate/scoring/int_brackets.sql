-- Several sizes or colours of one product, bought by one customer within 24 hours.

with order_lines as (

    select
        source,
        order_line_id,
        order_id,
        product_id,
        customer_id,
        -- of a guest nobody knows other orders
        coalesce(customer_id, order_id) as buyer,
        customer_id is null as is_guest,
        coalesce(size, '') || '/' || coalesce(colour, '') as variant,
        ordered_at,
        ordered_amount,
        return_class,
        as_of_date
    from {{ ref('order_lines') }}
    where
        is_sale
        and (size is not null or colour is not null)
        and age_days < (
            select max(patterns.lookback_days)
            from {{ ref('policy_abuse_patterns') }} as patterns
            where patterns.pattern = 'bracketing'
        )

),

-- nearly everybody buys one variant: only the others are looked at line by line
candidates as (

    select
        source,
        is_guest,
        buyer,
        product_id
    from order_lines
    group by source, is_guest, buyer, product_id
    having min(variant) < max(variant)

),

lagged as (

    select
        order_lines.*,
        lag(order_lines.ordered_at) over (
            partition by
                order_lines.source, order_lines.is_guest, order_lines.buyer, order_lines.product_id
            order by order_lines.ordered_at, order_lines.order_line_id
        ) as ordered_before_at
    from order_lines
    inner join candidates
        on
            order_lines.source = candidates.source
            and order_lines.is_guest = candidates.is_guest
            and order_lines.buyer = candidates.buyer
            and order_lines.product_id = candidates.product_id

),

-- a pause of more than a day begins another bracket
numbered as (

    select
        *,
        sum(
            case when ordered_at <= ordered_before_at + interval '24' hour then 0 else 1 end
        ) over (
            partition by source, is_guest, buyer, product_id
            order by ordered_at, order_line_id
            rows between unbounded preceding and current row
        ) as bracket_number
    from lagged

),

final as (

    select
        source,
        min(order_id) as order_id,
        product_id,
        max(customer_id) as customer_id,
        min(ordered_at) as first_ordered_at,
        max(ordered_at) as last_ordered_at,
        count(*) as lines,
        count(distinct order_id) as orders,
        count(distinct variant) as variants,
        sum(case when return_class = 'returned' then 1 else 0 end) as returned_lines,
        sum(case when return_class = 'kept' then 1 else 0 end) as kept_lines,
        sum(ordered_amount) as ordered_amount,
        max(as_of_date) as as_of_date
    from numbered
    group by source, is_guest, buyer, product_id, bracket_number
    having count(distinct variant) > 1

)

select * from final
