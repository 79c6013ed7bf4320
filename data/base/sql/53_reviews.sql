-- Reviews arrive after delivery and react to quality, lateness and to what was sent back.

create or replace temp table reviews_rows as
with written as (
    select
        *,
        case when getvariable('return_shape') = 'line' then 1 else marketplace_no end as shape,
        4.4
        - 0.8 * seller_log_odds
        - 0.8 * product_log_odds
        - 1.5 * incident_log_odds
        - case when is_late then 0.6 else 0 end
        - case when will_return then 1.4 else 0 end
        + 0.9 * normal_draw('rating', line_no) as opinion,
        days_later(delivered_at, 1 + 24 * power(draw('review delay', line_no), 2)) as written_at,
    from named_lines
    where not is_cancelled
        and not is_undelivered
        and draw('reviewed', line_no) < case when will_return then 0.26 else 0.20 end
)
select
    greatest(1, least(5, round(opinion)))::int::varchar as rating,
    written_at::varchar as reviewed_at,
    case when shape = 1 then line_id else '' end as order_line_id,
    case when shape = 2 then order_id else '' end as order_id,
    product_id,
    case when shape = 3 then coalesce(customer_id, '') else '' end as customer_id,
    seller_id,
    written_at as sort_at,
    line_no as sort_no,
    case
        when draw('review dirt', line_no) < getvariable('dirt')
            then ['bad_rating', 'rating_out_of_range', 'bad_date'][
                1 + pick('review dirt kind', line_no, 3)]
    end as kind,
from written
where written_at < getvariable('data_end');

update reviews_rows set
    rating = case kind
        when 'bad_rating' then 'five' when 'rating_out_of_range' then '7' else rating
    end,
    reviewed_at = case when kind = 'bad_date' then 'last week' else reviewed_at end
where kind is not null;
