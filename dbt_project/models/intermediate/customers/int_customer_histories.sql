-- What was known of each customer's purchases at the end of a day, and what they bought after it.
-- A line counts as sold until the day it was cancelled and as kept until the day its last unit came
-- back; so everything but the columns of the outcome is decided by events up to that day.

with order_lines as (

    select * from {{ ref('order_lines') }} where customer_id is not null

),

returns as (

    select * from {{ ref('returns') }} where order_line_id is not null

),

cut_offs as (

    select * from {{ ref('int_cut_offs') }}

),

last_returns as (

    select
        source,
        order_line_id,
        max(booked_date) as last_returned_date
    from returns
    group by source, order_line_id

),

-- a line that was undelivered, or cancelled nobody knows when, was never sold
sold_lines as (

    select
        order_lines.source,
        order_lines.customer_id,
        order_lines.ordered_date,
        order_lines.ordered_amount,
        cast(order_lines.cancelled_at as date) as cancelled_date,
        case
            when order_lines.returned_quantity > 0
                then coalesce(
                    cast(order_lines.first_returned_at as date), order_lines.ordered_date
                )
        end as first_returned_date,
        case
            when not order_lines.is_sale then cast(order_lines.cancelled_at as date)
            when order_lines.returned_quantity = order_lines.quantity
                then last_returns.last_returned_date
        end as gone_date
    from order_lines
    left join last_returns
        on
            order_lines.source = last_returns.source
            and order_lines.order_line_id = last_returns.order_line_id
    where order_lines.is_sale or order_lines.cancelled_at is not null

),

drawn as (

    select
        source,
        customer_id,
        {{ hash_share('customer_id') }} as draw,
        count(*) over (partition by source) as customer_count
    from sold_lines
    group by source, customer_id

),

-- the past is replayed for a sample of customers, the as-of date for all
chosen as (

    select
        cut_offs.source,
        cut_offs.known_on,
        cut_offs.is_current,
        cut_offs.has_outcome,
        cut_offs.horizon_days,
        cut_offs.horizon_end,
        cut_offs.holdout_end,
        cut_offs.as_of_date,
        drawn.customer_id,
        drawn.draw,
        drawn.draw * drawn.customer_count < {{ policy_value('fit_sample_customers') }} as is_sampled
    from drawn
    inner join cut_offs
        on
            drawn.source = cut_offs.source
            and (
                cut_offs.is_current
                or drawn.draw * drawn.customer_count < {{ policy_value('fit_sample_customers') }}
            )

),

judged as (

    select
        chosen.*,
        sold_lines.ordered_date,
        sold_lines.ordered_amount,
        {{ days_between('sold_lines.ordered_date', 'chosen.known_on') }} as age_days,
        coalesce(sold_lines.cancelled_date > chosen.known_on, true) as is_sold,
        coalesce(sold_lines.first_returned_date <= chosen.known_on, false) as is_returned,
        coalesce(sold_lines.gone_date > chosen.known_on, true) as is_kept,
        coalesce(sold_lines.gone_date > chosen.horizon_end, true) as is_kept_to_horizon,
        coalesce(sold_lines.gone_date > chosen.holdout_end, true) as is_kept_to_holdout
    from chosen
    inner join sold_lines
        on
            chosen.source = sold_lines.source
            and chosen.customer_id = sold_lines.customer_id

),

-- one row per day on which the customer bought
purchase_days as (

    select
        source,
        known_on,
        is_current,
        is_sampled,
        has_outcome,
        horizon_days,
        horizon_end,
        holdout_end,
        as_of_date,
        customer_id,
        draw,
        ordered_date,
        age_days,
        max(case when is_kept then 1 else 0 end) as is_kept,
        max(case when is_kept_to_horizon then 1 else 0 end) as is_kept_to_horizon,
        max(case when is_kept_to_holdout then 1 else 0 end) as is_kept_to_holdout,
        sum(case when is_sold then 1 else 0 end) as line_count,
        sum(case when is_returned then 1 else 0 end) as returned_line_count,
        sum(case when is_sold then ordered_amount else 0 end) as ordered_amount
    from judged
    group by
        source,
        known_on,
        is_current,
        is_sampled,
        has_outcome,
        horizon_days,
        horizon_end,
        holdout_end,
        as_of_date,
        customer_id,
        draw,
        ordered_date,
        age_days

),

measured as (

    select
        source,
        known_on,
        is_current,
        is_sampled,
        has_outcome,
        horizon_days,
        as_of_date,
        customer_id,
        draw,
        sum(case when age_days >= 0 then is_kept else 0 end) as purchase_day_count,
        sum(case when age_days between 0 and 29 then is_kept else 0 end) as purchase_days_30,
        sum(case when age_days between 0 and 89 then is_kept else 0 end) as purchase_days_90,
        min(case when is_kept = 1 and age_days >= 0 then age_days end) as recency_days,
        max(case when is_kept = 1 and age_days >= 0 then age_days end) as tenure_days,
        sum(case when age_days >= 0 then line_count else 0 end) as line_count,
        sum(case when age_days >= 0 then returned_line_count else 0 end) as returned_line_count,
        sum(case when age_days >= 0 then ordered_amount else 0 end) as ordered_amount,
        sum(
            case
                when age_days < 0 and ordered_date <= horizon_end then is_kept_to_horizon else 0
            end
        ) as purchase_days_to_horizon,
        case
            when max(holdout_end) <= as_of_date
                then sum(
                    case
                        when age_days < 0 and ordered_date <= holdout_end then is_kept_to_holdout
                        else 0
                    end
                )
        end as holdout_purchase_days
    from purchase_days
    group by
        source,
        known_on,
        is_current,
        is_sampled,
        has_outcome,
        horizon_days,
        as_of_date,
        customer_id,
        draw

),

final as (

    select
        source,
        known_on,
        customer_id,
        is_current,
        is_sampled,
        draw,
        cast(purchase_day_count as bigint) as purchase_day_count,
        cast(purchase_days_30 as bigint) as purchase_days_30,
        cast(purchase_days_90 as bigint) as purchase_days_90,
        cast(recency_days as bigint) as recency_days,
        cast(tenure_days as bigint) as tenure_days,
        cast(line_count as bigint) as line_count,
        cast(returned_line_count as bigint) as returned_line_count,
        cast(ordered_amount as decimal(18, 4)) as ordered_amount,
        horizon_days,
        case when has_outcome then purchase_days_to_horizon = 0 end as has_churned,
        cast(holdout_purchase_days as bigint) as holdout_purchase_days,
        as_of_date
    from measured
    where purchase_day_count > 0

)

select * from final
