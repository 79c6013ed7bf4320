-- Customers who are equal to BG/NBD counted together: so many purchase days after the first, so
-- many days from the first to the last, so many days known. Only days at which it is fitted.

with histories as (

    select * from {{ ref('int_customer_histories') }} where is_sampled

),

cut_offs as (

    select * from {{ ref('int_cut_offs') }}

),

-- today, the days that are tested, and those that their models are calibrated or scaled on
needed as (

    select
        source,
        known_on
    from cut_offs
    where is_current or is_tested or is_holdout

    union

    select
        source,
        calibrated_on as known_on
    from cut_offs
    where is_tested

    union

    select
        source,
        scaled_on as known_on
    from cut_offs
    where is_holdout

),

final as (

    select
        histories.source,
        histories.known_on,
        histories.purchase_day_count - 1 as repeat_count,
        histories.tenure_days - histories.recency_days as last_repeat_days,
        histories.tenure_days,
        count(*) as customer_count,
        cast(sum(histories.holdout_purchase_days) as bigint) as holdout_purchase_days,
        cast(sum(histories.holdout_purchase_days * histories.holdout_purchase_days) as bigint)
            as squared_holdout_purchase_days
    from histories
    inner join needed
        on
            histories.source = needed.source
            and histories.known_on = needed.known_on
    group by
        histories.source,
        histories.known_on,
        histories.purchase_day_count - 1,
        histories.tenure_days - histories.recency_days,
        histories.tenure_days

)

select * from final
