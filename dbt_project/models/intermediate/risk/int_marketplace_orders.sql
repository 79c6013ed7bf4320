-- What was ordered in each marketplace in each window: also what was cancelled or came late.

with order_lines as (

    select * from {{ ref('order_lines') }}

),

windows as (

    select * from {{ ref('policy_risk_windows') }} where compared_with = 'own past'

),

-- sellers that are outliers in any window they are judged in
flagged_sellers as (

    select distinct
        source,
        entity_id as seller_id
    from {{ ref('int_risk_assessed') }}
    where entity_type = 'seller' and risk_tier = 'high'

),

recent_lines as (

    select
        order_lines.source,
        coalesce(order_lines.marketplace, 'unknown') as marketplace,
        windows.window_days,
        order_lines.order_id,
        order_lines.seller_id,
        order_lines.is_sale,
        order_lines.net_amount,
        order_lines.return_class,
        {{ is_due('order_lines') }} as is_due,
        {{ has_known_delivery('order_lines') }} as has_delivery,
        coalesce(order_lines.delivered_at > order_lines.promised_at, true) as is_late
    from order_lines
    inner join windows
        on order_lines.age_days < windows.window_days

),

final as (

    select
        recent_lines.source,
        recent_lines.marketplace,
        recent_lines.window_days,
        cast(
            count(distinct case when recent_lines.is_sale then recent_lines.order_id end) as bigint
        ) as orders,
        cast(
            count(distinct case when recent_lines.is_sale then recent_lines.seller_id end) as bigint
        ) as sellers,
        cast(sum(case when recent_lines.is_due then 1 else 0 end) as bigint) as ordered_lines,
        cast(sum(case when recent_lines.is_sale then 1 else 0 end) as bigint) as lines,
        cast(sum(recent_lines.net_amount) as decimal(18, 4)) as net_amount,
        cast(
            sum(
                case
                    when
                        recent_lines.is_due
                        and recent_lines.return_class in ('cancelled', 'undelivered')
                        then 1
                    else 0
                end
            ) as bigint
        ) as lost_lines,
        cast(sum(case when recent_lines.has_delivery then 1 else 0 end) as bigint)
            as delivery_lines,
        cast(
            sum(case when recent_lines.has_delivery and recent_lines.is_late then 1 else 0 end)
            as bigint
        ) as late_lines,
        cast(
            sum(
                case
                    when recent_lines.is_sale and flagged_sellers.seller_id is not null then 1
                    else 0
                end
            ) as bigint
        ) as flagged_seller_lines,
        cast(
            count(case when recent_lines.is_sale then recent_lines.seller_id end) as bigint
        ) as seller_lines
    from recent_lines
    left join flagged_sellers
        on
            recent_lines.source = flagged_sellers.source
            and recent_lines.seller_id = flagged_sellers.seller_id
    group by recent_lines.source, recent_lines.marketplace, recent_lines.window_days

)

select * from final
