-- Sums over the lines of the chunk that were delivered.

-- expected returns of shipped lines, with and without what the seller did
insert into seller_parts
select
    seller_no,
    count(*) as lines,
    sum(will_return::int) as returned_lines,
    sum(p_true::decimal(12, 9)) as expected_returns,
    sum(without_seller::decimal(12, 9)) as expected_without_seller,
    sum(without_seller_and_product::decimal(12, 9)) as expected_without_seller_and_product,
from (
    select
        *,
        case when getvariable('noise_labels') or getvariable('no_returns') then p_true else
            logistic(visible_log_odds + hidden_log_odds + incident_log_odds - seller_log_odds)
        end as without_seller,
        case when getvariable('noise_labels') or getvariable('no_returns') then p_true else
            logistic(
                visible_log_odds + hidden_log_odds + incident_log_odds
                - seller_log_odds - product_log_odds
            )
        end as without_seller_and_product,
    from line_outcomes
    where not is_cancelled and not is_undelivered
)
group by seller_no;

-- what each incident cost: expected returns and refunds beyond those that would have come anyway
insert into incident_parts
with touched as (
    select
        incidents.incident_no,
        line_outcomes.*,
        -- the flash sale acts through its discount, above the usual seven per cent
        case when incidents.kind = 'flash_sale' then 0.90 * (discount_share - 0.07)
            else incidents.log_odds
        end as effect,
    from line_outcomes
    inner join incidents
        on line_outcomes.day between incidents.first_day and incidents.last_day
        and coalesce(incidents.seller_no = line_outcomes.seller_no, true)
        and coalesce(incidents.product_no = line_outcomes.product_no, true)
        and coalesce(incidents.marketplace_no = line_outcomes.marketplace_no, true)
        and coalesce(incidents.category_no = line_outcomes.category_no, true)
    where not is_cancelled and not is_undelivered
),
compared as (
    select
        *,
        case when getvariable('noise_labels') or getvariable('no_returns') then p_true
            else logistic(visible_log_odds + hidden_log_odds + incident_log_odds - effect)
        end as p_without,
    from touched
)
select
    incident_no,
    count(*) as lines,
    sum(p_true::decimal(12, 9)) as expected_returns,
    sum((p_true - p_without)::decimal(12, 9)) as excess_returns,
    sum(((p_true - p_without) * net_amount_eur)::decimal(18, 6)) as excess_refunds_eur,
from compared
group by incident_no;
