-- What is on the line: time, variant, price, discount, payment, and the delivery still to come.

create or replace temp view line_terms as
with placed as (
    select
        line_picks.*,
        ordinary.log_odds as country_log_odds,
        ordinary.* exclude (slot, log_odds),
        -- orders come between seven in the morning and midnight, mostly in the afternoon
        date + to_seconds(floor(
            86399 * (0.29 + 0.355 * (draw('hour', order_no) + draw('hour, again', order_no)))
        )::bigint) as ordered_at,
        pick('variant', order_no * 262144 + product_no, 840)::int as variant,
        -- bracketed lines are one piece each; so are most others
        case
            when is_bracketed or draw('quantity', line_no) < 0.88 then 1
            when draw('quantity', line_no) < 0.96 then 2
            when draw('quantity', line_no) < 0.985 then 3
            else 4 + pick('many', line_no, 3)
        end::int as quantity,
        [0.90, 0.95, 1.00, 1.00, 1.00, 1.05, 1.10][
            1 + pick('price move', product_no * 64 + floor(day / 30.4375)::int, 7)
        ] as price_factor,
        case
            when is_flash_sale and marketplace_no = 2 and draw('on sale', line_no) < 0.9
                then 0.56 + 0.01 * pick('sale discount', order_no, 9)
            when draw('discounted', order_no * 262144 + product_no) < 0.36
                then 0.05 * (1 + pick('discount', order_no * 262144 + product_no, 6))
            else 0
        end as discount_share,
        draw('payment', order_no) as payment_draw,
        draw('channel', order_no) as channel_draw,
        -- one delivery in ten is late (promised: two days above the usual transit)
        [0, 0, 0, 1, 1, 1, 1, 2, 2, 4][1 + pick('delivery', order_no, 10)] as delivery_luck,
        draw('cancelled', order_no) < 0.02 as is_cancelled,
    from line_picks
    inner join country_wheel as ordinary on ordinary.slot = pick('country', person_no, 100)
),
priced as (
    select
        placed.*,
        products.product_id,
        products.seller_no,
        products.category,
        products.brand,
        products.list_price,
        products.log_odds as product_log_odds,
        sellers.log_odds as seller_log_odds,
        categories.price_median,
        categories.base_rate,
        size,
        colour,
        round(list_price * price_factor / eur_rate, 2)::decimal(12, 2) as unit_price,
        case
            when payment_draw < cod_share then 'cod'
            when payment_draw < cod_share + 0.5 * (1 - cod_share) then 'card'
            when payment_draw < cod_share + 0.75 * (1 - cod_share) then 'paypal'
            when payment_draw < cod_share + 0.92 * (1 - cod_share) then 'invoice'
            else 'bank_transfer'
        end as payment_method,
        case
            when channel_draw < 0.54 then 'web'
            when channel_draw < 0.92 then 'app'
            when channel_draw < 0.97 then 'marketplace_partner'
            else 'phone'
        end as channel,
        case
            when is_guest then 'guest'
            when keenness(person_no) > 0.93 then 'vip'
            when age < 0.02 then 'new'
            else 'returning'
        end as customer_type,
    from placed
    inner join products using (product_no, category_no)
    inner join sellers using (seller_no)
    inner join categories using (category_no)
    inner join variants using (category_no, variant, line_in_order)
),
troubled as (
    -- incidents that touch the line's seller, product, category or marketplace on its day
    select
        line_no,
        sum(incident_days.log_odds::decimal(18, 9))::double as incident_log_odds,
        sum(delay_days)::int as delay_days,
    from line_picks
    inner join products using (product_no)
    inner join incident_days
        on incident_days.day = line_picks.day
        and coalesce(incident_days.seller_no = products.seller_no, true)
        and coalesce(incident_days.product_no = products.product_no, true)
        and coalesce(incident_days.marketplace_no = line_picks.marketplace_no, true)
        and coalesce(incident_days.category_no = line_picks.category_no, true)
    group by line_no
)
select
    priced.* exclude (payment_draw, channel_draw, variant, delivery_luck, date, is_flash_sale),
    coalesce(incident_log_odds, 0) as incident_log_odds,
    (unit_price * quantity)::decimal(12, 2) as gross_amount,
    round(unit_price * quantity * discount_share, 2)::decimal(12, 2) as discount_amount,
    not is_cancelled
        and draw('undelivered', order_no)
            < case when payment_method = 'cod' then 0.11 else 0.008 end
        as is_undelivered,
    delivery_luck > 2 as is_late,
    days_later(
        date::timestamp,
        transit_days + delivery_luck
        -- four or five days more in the supply crisis
        + case when delay_days > 0 then delay_days + pick('more delay', order_no, 2) else 0 end
        + 0.36 + 0.42 * draw('delivery hour', order_no)
    ) as delivered_at,
    (date + (transit_days + 2)::int)::timestamp + interval 20 hours as promised_at,
    case when is_cancelled
        then days_later(ordered_at, 0.04 + 0.8 * draw('cancelled after', order_no))
    end as cancelled_at,
from priced
left join troubled using (line_no);
