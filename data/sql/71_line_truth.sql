-- The oracle. p_checkout is the probability of a return (of a line that is delivered), given all that
-- can be known at checkout: the line itself, the lasting quality of seller and product, and how the
-- customer's lines of at least 60 days ago ended. The mood of the order and lateness to come are
-- averaged over; the customer's kind is weighed by Bayes' rule; incidents are not foreseen.

-- averaged over two moods and over lateness (one delivery in ten)
create or replace macro checkout_chance(x) as
    0.45 * logistic(x - 0.25) + 0.45 * logistic(x + 0.25)
    + 0.05 * logistic(x + 0.15) + 0.05 * logistic(x + 0.65);

-- in millionths, as whole numbers, so that sums do not depend on their order
create or replace macro log_likelihood(chance, is_true) as
    round(1e6 * ln(case when is_true then chance else 1 - chance end))::bigint;

create or replace temp view line_truth as
with bucket as (
    select
        *,
        not is_cancelled and not is_undelivered as is_shipped,
        coalesce(first_returned_at < ordered_at + interval 60 days, false) as is_back_in_60_days,
        checkout_chance(visible_log_odds - 0.50) as chance_1,
        checkout_chance(visible_log_odds) as chance_2,
        checkout_chance(visible_log_odds + 0.50) as chance_3,
        checkout_chance(visible_log_odds + 2.00) as chance_4,
    from line_parts
    where (person_no // 32) % getvariable('buckets') = getvariable('bucket')
),
evidence as (
    select
        *,
        case when is_shipped then log_likelihood(chance_1, is_back_in_60_days) else 0 end as evidence_1,
        case when is_shipped then log_likelihood(chance_2, is_back_in_60_days) else 0 end as evidence_2,
        case when is_shipped then log_likelihood(chance_3, is_back_in_60_days) else 0 end as evidence_3,
        case when is_shipped then log_likelihood(chance_4, is_back_in_60_days) else 0 end as evidence_4,
    from bucket
),
remembered as (
    -- guests have no past
    select *, 0 as past_1, 0 as past_2, 0 as past_3, 0 as past_4 from evidence
    where is_guest
    union all
    select
        *,
        coalesce(sum(evidence_1) over past, 0) as past_1,
        coalesce(sum(evidence_2) over past, 0) as past_2,
        coalesce(sum(evidence_3) over past, 0) as past_3,
        coalesce(sum(evidence_4) over past, 0) as past_4,
    from evidence
    where not is_guest
    window past as (
        partition by person_no
        order by epoch(ordered_at)::bigint
        range between unbounded preceding and 5184000 preceding
    )
),
weighed as (
    select
        *,
        0.260 * exp((past_1 - past_2) / 1e6) as weight_1,
        0.500 as weight_2,
        0.233 * exp((past_3 - past_2) / 1e6) as weight_3,
        0.007 * exp((past_4 - past_2) / 1e6) as weight_4,
    from remembered
),
averaged as (
    select
        *,
        (weight_1 * chance_1 + weight_2 * chance_2 + weight_3 * chance_3 + weight_4 * chance_4)
        / (weight_1 + weight_2 + weight_3 + weight_4) as chance,
    from weighed
)
select
    order_id || '-' || line_in_order as line_id,
    case when marketplace_no = 2 and getvariable('return_shape') != 'line' then ''
        else order_id || '-' || line_in_order
    end as order_line_id,
    order_id,
    customer_id,
    customer_kind,
    product_id,
    seller_id,
    marketplace,
    category,
    size,
    colour,
    country,
    currency,
    ordered_at,
    case when is_shipped then delivered_at end as delivered_at,
    quantity,
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
    returned_units,
    first_returned_at,
    last_returned_at,
from averaged
order by line_no;
