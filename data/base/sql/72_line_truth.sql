-- The oracle. p_checkout is the probability of a return (of a line that is delivered), given all
-- that can be known at checkout: the line itself, the lasting quality of seller and product, and
-- how the customer's lines of at least 60 days ago ended. The mood of the order and the lateness to
-- come are averaged over; the kind of customer is weighed by Bayes; incidents are not foreseen.

-- averaged over two moods and over lateness (one delivery in ten)
create or replace macro checkout_chance(x) as
    0.45 * logistic(x - 0.25) + 0.45 * logistic(x + 0.25)
    + 0.05 * logistic(x + 0.15) + 0.05 * logistic(x + 0.65);

-- log likelihood ratio against the usual kind of customer, in millionths: sums of whole numbers do
-- not depend on their order
create or replace macro evidence(kind_log_odds, x, is_true) as
    round(1e6 * case
        when is_true then ln(checkout_chance(x + kind_log_odds) / checkout_chance(x))
        else ln((1 - checkout_chance(x + kind_log_odds)) / (1 - checkout_chance(x)))
    end)::bigint;

-- what the past says about the customer's kind, at each line; guests have none
create or replace temp view line_pasts as
with evident as (
    select
        line_no,
        person_no,
        epoch(ordered_at)::bigint as second,
        case when is_shipped then evidence(-0.5, visible_log_odds, is_back) else 0 end as careful,
        case when is_shipped then evidence(0.5, visible_log_odds, is_back) else 0 end as choosy,
        case when is_shipped then evidence(2.0, visible_log_odds, is_back) else 0 end as serial,
    from (
        select
            *,
            coalesce(first_returned_at < ordered_at + interval 60 days, false) as is_back,
        from line_parts
    )
    where not is_guest and (person_no // 32) % getvariable('buckets') = getvariable('bucket')
)
select * from (
    select
        line_no,
        sum(careful) over past as careful,
        sum(choosy) over past as choosy,
        sum(serial) over past as serial,
    from evident
    window past as (
        partition by person_no
        order by second
        range between unbounded preceding and 5184000 preceding
    )
)
where careful is not null;

create or replace table pasts (line_no bigint, careful bigint, choosy bigint, serial bigint);

create or replace temp view line_truth as
with weighed as (
    select
        chunk_part.*,
        0.260 * exp(coalesce(careful, 0) / 1e6) as careful_weight,
        0.500 as usual_weight,
        0.233 * exp(coalesce(choosy, 0) / 1e6) as choosy_weight,
        0.007 * exp(coalesce(serial, 0) / 1e6) as serial_weight,
    from pasts
    right join chunk_part using (line_no)
    order by line_no
),
averaged as (
    select
        *,
        (
            careful_weight * checkout_chance(visible_log_odds - 0.5)
            + usual_weight * checkout_chance(visible_log_odds)
            + choosy_weight * checkout_chance(visible_log_odds + 0.5)
            + serial_weight * checkout_chance(visible_log_odds + 2.0)
        ) / (careful_weight + usual_weight + choosy_weight + serial_weight) as chance,
        order_id_text(marketplace_no, order_no) as order_id,
        order_id || '-' || line_in_order as line_id,
    from weighed
)
select
    line_id,
    case when marketplace_no != 2 or getvariable('return_shape') = 'line' then line_id
    end as order_line_id,
    order_id,
    customer_id_text(customer_no) as customer_id,
    customer_kind,
    product_id_text(product_no) as product_id,
    seller_id_text(seller_no) as seller_id,
    marketplace_name(marketplace_no) as marketplace,
    category,
    size,
    colour,
    country,
    currency,
    ordered_at,
    case when is_shipped then delivered_at end as delivered_at,
    quantity::int as quantity,
    net_amount,
    net_amount_eur,
    discount_share,
    is_bracketed,
    is_late and is_shipped as is_late,
    is_cancelled,
    is_undelivered,
    incident_log_odds,
    p_true,
    case when getvariable('noise_labels') or getvariable('no_returns') then p_true
        else round(chance, 9)
    end as p_checkout,
    will_return,
    returned_units::int as returned_units,
    first_returned_at,
    last_returned_at,
from averaged;
