-- returns: nothing that came back is lost, counted twice, or booked on a line that did not sell it

with returns as (

    select * from {{ ref('returns') }}

),

duplicated_keys as (

    select
        'one row per source, return_id and allocation_number' as claim,
        source,
        return_id as example
    from returns
    group by source, return_id, allocation_number
    having count(*) > 1

),

allocated as (

    select
        source,
        return_id,
        sum(quantity) as quantity
    from returns
    group by source, return_id

),

screened as (

    select
        source,
        return_id,
        quantity
    from {{ ref('int_returns_resolved') }}
    where disposition = 'return'

),

turned_away as (

    select
        source,
        return_id
    from {{ ref('int_returns_matched') }}
    where disposition <> 'return'

),

lost_units as (

    select
        'the units of a return add up to what came back' as claim,
        screened.source,
        screened.return_id as example
    from screened
    left join turned_away
        on
            screened.source = turned_away.source
            and screened.return_id = turned_away.return_id
    left join allocated
        on
            screened.source = allocated.source
            and screened.return_id = allocated.return_id
    where
        turned_away.return_id is null
        and screened.quantity <> coalesce(allocated.quantity, 0)

),

line_sums as (

    select
        source,
        sum(returned_quantity) as quantity,
        sum(refund_amount) as refund_amount,
        sum(excess_refund_amount) as excess_refund_amount
    from {{ ref('order_lines') }}
    group by source

),

return_sums as (

    select
        source,
        sum(quantity) as quantity,
        sum(refund_amount) as refund_amount,
        sum(excess_refund_amount) as excess_refund_amount
    from returns
    where order_line_id is not null
    group by source

),

unequal_sums as (

    select
        'matched returns add up to what the order lines gave back' as claim,
        line_sums.source,
        cast(line_sums.quantity as string) as example
    from line_sums
    left join return_sums
        on line_sums.source = return_sums.source
    where
        line_sums.quantity <> coalesce(return_sums.quantity, 0)
        or line_sums.refund_amount <> coalesce(return_sums.refund_amount, 0)
        or line_sums.excess_refund_amount <> coalesce(return_sums.excess_refund_amount, 0)

)

select * from duplicated_keys
union all
select * from lost_units
union all
select * from unequal_sums
