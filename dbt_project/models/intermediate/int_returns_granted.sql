-- Who gets the units: one row per return and order line that really gives units back, one more for
-- units that no sale covers, and one for a return that the order line it names contradicts.

with claims as (

    select * from {{ ref('int_returns_claimed') }}

),

-- a line gives back what it sold, first come first served
queued as (

    select
        source,
        return_id,
        return_quantity,
        order_line_id,
        match_method,
        claimed_at,
        ordered_at,
        claimed_quantity,
        sold_quantity,
        net_amount,
        excluded_by,
        reject_reasons,
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
        source,
        return_id,
        return_quantity,
        order_line_id,
        match_method,
        claimed_at,
        ordered_at,
        claimed_quantity,
        sold_quantity,
        net_amount,
        excluded_by,
        case
            when
                match_method in ('order_line', 'line_status')
                and reject_reasons is null
                and claimed_before + claimed_quantity > sold_quantity
                then 'returned_more_than_sold'
            else reject_reasons
        end as reject_reasons,
        case
            when order_line_id is null then 0
            else greatest(0, least(claimed_quantity, sold_quantity - claimed_before))
        end as granted_quantity
    from queued

),

turned_away as (

    select
        source,
        return_id,
        case when excluded_by is not null then 'excluded' else 'rejected' end as disposition,
        excluded_by,
        reject_reasons,
        cast(null as string) as order_line_id,
        cast(null as string) as match_method,
        return_quantity as quantity,
        claimed_at,
        cast(null as timestamp) as ordered_at,
        cast(null as decimal(38, 4)) as weight,
        false as came_too_late
    from granted
    where excluded_by is not null or reject_reasons is not null

),

good as (

    select * from granted where excluded_by is null and reject_reasons is null

),

matched as (

    select
        source,
        return_id,
        'return' as disposition,
        excluded_by,
        reject_reasons,
        order_line_id,
        match_method,
        granted_quantity as quantity,
        claimed_at,
        ordered_at,
        -- units of one product share a refund evenly, those of a whole order by what they sold for
        case
            when match_method = 'order'
                then cast(round(net_amount * granted_quantity / sold_quantity, 4) as decimal(38, 4))
        end as weight,
        false as came_too_late
    from good
    where granted_quantity > 0

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
        max(return_quantity) - sum(granted_quantity) as quantity,
        max(claimed_at) as claimed_at,
        cast(null as timestamp) as ordered_at,
        cast(null as decimal(38, 4)) as weight,
        max(case when granted_quantity < claimed_quantity then 1 else 0 end) = 1 as came_too_late
    from good
    group by source, return_id
    having max(return_quantity) > sum(granted_quantity)

),

final as (

    select * from matched
    union all
    select * from unmatched
    union all
    select * from turned_away

)

select * from final
