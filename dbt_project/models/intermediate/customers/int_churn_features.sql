-- What the models of churn see of a customer at a cut-off, and P(alive) by the BG/NBD that was
-- fitted on the purchases up to it. Who bought nothing in the look-back is gone, and no question.

with histories as (

    select * from {{ ref('int_customer_histories') }}
    where recency_days < {{ policy_value('rfm_lookback_days') }}

),

cut_offs as (

    select * from {{ ref('int_cut_offs') }}

),

fits as (

    select
        source,
        trained_on,
        {{ parameter_columns(['r', 'alpha', 'a', 'b', 'first']) }}
    from {{ ref('ml_lifetime_value') }}
    where record = 'parameter' and model = 'bg_nbd'
    group by source, trained_on

),

final as (

    select
        histories.source,
        histories.known_on,
        histories.customer_id,
        histories.is_current,
        histories.is_sampled,
        cut_offs.is_tested,
        cut_offs.horizon_end,
        histories.draw,
        histories.has_churned,
        histories.recency_days,
        histories.tenure_days,
        histories.purchase_day_count,
        ln(1 + histories.recency_days) as recency,
        histories.recency_days / 30.0 as recency_months,
        ln(1 + histories.tenure_days) as tenure,
        ln(histories.purchase_day_count) as frequency,
        ln(1 + histories.recency_days)
        - ln(1 + cast(histories.tenure_days as double) / histories.purchase_day_count) as overdue,
        ln(1 + histories.purchase_days_30) as purchases_30,
        ln(1 + histories.purchase_days_90) as purchases_90,
        ln(
            1 + cast(histories.ordered_amount as double) / histories.purchase_day_count
        ) as purchase_amount,
        ln(
            cast(histories.line_count as double) / histories.purchase_day_count
        ) as purchase_lines,
        (histories.returned_line_count + 1.0) / (histories.line_count + 5.0) as return_share,
        {{ probability_alive(
            '(histories.purchase_day_count - 1)',
            '(histories.tenure_days - histories.recency_days)',
            'histories.tenure_days',
            'fits'
        ) }} as p_alive,
        histories.as_of_date
    from histories
    inner join cut_offs
        on
            histories.source = cut_offs.source
            and histories.known_on = cut_offs.known_on
    left join fits
        on
            histories.source = fits.source
            and histories.known_on = fits.trained_on

)

select * from final
