-- Will the line come back? Additive on the log-odds scale, then one draw per line.

create or replace temp table line_outcomes as
with visible as (
    -- everything that is known at checkout, or learnable for good from history (seller and product)
    select
        *,
        gross_amount - discount_amount as net_amount,
        round((gross_amount - discount_amount) * eur_rate, 2)::decimal(12, 2) as net_amount_eur,
        getvariable('intercept')
        + offer_log_odds
        + 0.60 * ln(price_factor)
        + 0.90 * discount_share
        + case when is_bracketed then 1.3 else 0 end
        + case payment_method
            when 'invoice' then 0.25 when 'cod' then 0.10 when 'bank_transfer' then -0.20 else 0
        end
        + case channel when 'app' then 0.08 when 'phone' then -0.15 else 0 end
        + case customer_type when 'vip' then -0.15 when 'new' then 0.10 else 0 end
        + country_log_odds
        + case when getvariable('stationary') then 0
            else 0.08 * day / 365.25 + case when month in (12, 1) then 0.15 else 0 end
        end as market_log_odds,
    from line_terms
),
latent as (
    -- hidden from everyone: the kind of customer, the mood of the order, lateness still to come
    select
        *,
        market_log_odds + seller_log_odds + product_log_odds as visible_log_odds,
        kind_log_odds
        + case when draw('mood', order_no) < 0.5 then -0.25 else 0.25 end
        + case when is_late then 0.40 else 0 end as hidden_log_odds,
    from visible
),
chances as (
    select
        *,
        case when getvariable('no_returns') then 0
            when getvariable('noise_labels') then 0.22
            else round(logistic(visible_log_odds + hidden_log_odds + incident_log_odds), 9)
        end as p_true,
        1 + pick('size that fits', order_no, bracket_size) as fitting_line,
    from latent
),
fitted as (
    -- of several sizes one fits: it tends to stay, the others to go back; p is the mean of both
    select
        *,
        p_true + case
            when not is_bracketed or getvariable('noise_labels') then 0
            when line_in_order = fitting_line then -0.7 * least(p_true, 1 - p_true)
            else 0.7 * least(p_true, 1 - p_true) / (bracket_size - 1)
        end as p_fitted,
    from chances
),
decided as (
    select
        *,
        not is_cancelled and not is_undelivered and draw('returned', line_no) < p_fitted
            as will_return,
    from fitted
)
select
    line_no,
    order_no,
    line_in_order,
    order_size,
    day,
    ordered_at,
    marketplace_no,
    category_no,
    product_no,
    seller_no,
    person_no,
    customer_no,
    is_guest,
    is_bracketed,
    category,
    brand,
    size,
    colour,
    country,
    currency,
    eur_rate,
    tax_rate,
    quantity,
    unit_price,
    discount_share,
    discount_amount,
    net_amount,
    net_amount_eur,
    payment_method,
    channel,
    customer_type,
    promised_at,
    delivered_at,
    is_late,
    is_cancelled,
    cancelled_at,
    is_undelivered,
    customer_kind,
    seller_log_odds,
    product_log_odds,
    visible_log_odds,
    hidden_log_odds,
    incident_log_odds,
    p_true,
    will_return,
    case
        when not will_return then 0
        when quantity = 1 or draw('all units', line_no) < 0.55 then quantity
        else 1 + pick('some units', line_no, quantity - 1)
    end::tinyint as returned_units,
from decided;

-- the same with the ids and names that the files show
create or replace temp view named_lines as
select
    *,
    marketplace_name(marketplace_no) as marketplace,
    order_id_text(marketplace_no, order_no) as order_id,
    order_id || '-' || line_in_order as line_id,
    customer_id_text(customer_no) as customer_id,
    product_id_text(product_no) as product_id,
    seller_id_text(seller_no) as seller_id,
    case when marketplace_no = 2 and getvariable('return_shape') != 'line' then ''
        else line_id
    end as order_line_id,
from line_outcomes;
