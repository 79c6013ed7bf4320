-- What is on the line: time, variant, price, discount, payment, and the delivery still to come.

create or replace temp view line_terms as
with drawn as (
    select
        *,
        getvariable('first_date') + day::int as date,
        pick('country', person_no, 100)::int as country_slot,
        pick('customer kind', person_no, 1000)::int as kind_slot,
        variant_key(
            category_no,
            pick('variant', order_no * 262144 + product_no, 840),
            line_in_order
        ) as variant_key,
        market_key(day, marketplace_no, category_no) as market_key,
        product_key(day, product_no) as product_key,
        -- bracketed lines are one piece each; so are most others
        draw('quantity', line_no) as quantity_draw,
        case
            when is_bracketed or quantity_draw < 0.88 then 1
            when quantity_draw < 0.96 then 2
            when quantity_draw < 0.985 then 3
            else 4 + pick('many', line_no, 3)
        end::tinyint as quantity,
        [0.90, 0.95, 1.00, 1.00, 1.00, 1.05, 1.10][
            1 + pick('price move', product_no * 64 + floor(day / 30.4375)::int, 7)
        ]::double as price_factor,
        case
            when is_flash_sale and marketplace_no = 2 and draw('on sale', line_no) < 0.9
                then 0.56 + 0.01 * pick('sale discount', order_no, 9)
            when draw('discounted', order_no * 262144 + product_no) < 0.36
                then 0.05 * (1 + pick('discount', order_no * 262144 + product_no, 6))
            else 0
        end::decimal(4, 2) as discount_share,
        draw('payment', order_no) as payment_draw,
        draw('channel', order_no) as channel_draw,
        -- one delivery in ten is late (promised: two days above the usual transit)
        [0, 0, 0, 1, 1, 1, 1, 2, 2, 4][1 + pick('delivery', order_no, 10)] as delivery_luck,
        draw('cancelled', order_no) < 0.02 as is_cancelled,
    from line_picks
),
placed as (
    select
        drawn.* exclude (kind_slot, variant_key, market_key, product_key),
        offers.* exclude (product_no),
        country_wheel.* exclude (slot, log_odds),
        country_wheel.log_odds as country_log_odds,
        customer_kind_wheel.customer_kind,
        customer_kind_wheel.log_odds as kind_log_odds,
        variants.size,
        variants.colour,
        market_incident_log_odds + coalesce(product_incident_log_odds, 0) as incident_log_odds,
        market_delay_days as delay_days,
    from drawn
    inner join offers using (product_no)
    inner join country_wheel on country_wheel.slot = drawn.country_slot
    inner join customer_kind_wheel on customer_kind_wheel.slot = drawn.kind_slot
    inner join variants using (variant_key)
    inner join market_effects using (market_key)
    left join product_effects using (product_key)
),
priced as (
    select
        *,
        -- orders come between seven in the morning and midnight, mostly in the afternoon
        date + to_seconds(floor(
            86399 * (0.29 + 0.355 * (draw('hour', order_no) + draw('hour, again', order_no)))
        )::bigint) as ordered_at,
        round(list_price * price_factor / eur_rate::double, 2)::decimal(12, 2) as unit_price,
        case
            when payment_draw < cod_share then 'cod'
            when payment_draw < cod_share + 0.5 * (1 - cod_share) then 'card'
            when payment_draw < cod_share + 0.75 * (1 - cod_share) then 'paypal'
            when payment_draw < cod_share + 0.92 * (1 - cod_share) then 'invoice'
            else 'bank_transfer'
        end::payment_name as payment_method,
        case
            when channel_draw < 0.54 then 'web'
            when channel_draw < 0.92 then 'app'
            when channel_draw < 0.97 then 'marketplace_partner'
            else 'phone'
        end::channel_name as channel,
        case
            when is_guest then 'guest'
            when keenness(person_no) > 0.93 then 'vip'
            when age < 0.02 then 'new'
            else 'returning'
        end::customer_type_name as customer_type,
    from placed
)
select
    * exclude (quantity_draw, payment_draw, channel_draw, delivery_luck, date, is_flash_sale),
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
from priced;
