-- What was known of each customer on each replayed month-end and on the as-of date: the features of
-- segments, churn and value. The past is replayed for the sample that models are fitted on, today
-- is known of everybody.

with orders as (

    select * from {{ ref('orders') }} where customer_id is not null and is_sale

),

order_lines as (

    select * from {{ ref('order_lines') }} where customer_id is not null and is_sale

),

returns as (

    select * from {{ ref('returns') }} where order_line_id is not null

),

as_of_dates as (

    select * from {{ ref('int_as_of_dates') }} where is_month_end and not is_current

),

maturities as (

    select * from {{ ref('int_maturities') }}

),

-- today, from the orders as they stand
flagged_orders as (

    select
        *,
        {{ days_between('ordered_date', 'as_of_date') }}
        < {{ policy_value('segment_lookback_days') }} as is_recent
    from orders
    where {{ days_between('ordered_date', 'as_of_date') }} < {{ policy_value('rfm_lookback_days') }}

),

current_customers as (

    select
        source,
        customer_id,
        as_of_date,
        true as is_current,
        min(ordered_date) as first_ordered_date,
        max(ordered_date) as last_ordered_date,
        max(case when is_kept then ordered_date end) as last_kept_date,
        count(*) as order_count,
        sum(case when is_kept then 1 else 0 end) as frequency,
        sum(kept_amount) as monetary,
        sum(sold_line_count) as line_count,
        sum(returned_line_count) as returned_line_count,
        sum(effective_exposure) as effective_exposure,
        sum(case when is_recent and is_kept then 1 else 0 end) as recent_frequency,
        sum(case when is_recent then kept_amount else 0 end) as recent_monetary,
        sum(case when is_recent then sold_line_count else 0 end) as recent_line_count,
        sum(case when is_recent then returned_line_count else 0 end) as recent_returned_line_count,
        sum(case when is_recent then effective_exposure else 0 end) as recent_effective_exposure
    from flagged_orders
    group by source, customer_id, as_of_date

),

sources as (

    select
        source,
        count(*) as customer_count
    from current_customers
    group by source

),

-- drawn by a hash of the id, so that a customer stays in the sample whatever else is in the data
sampled as (

    select
        current_customers.*,
        {{ hash_share('current_customers.customer_id') }} * sources.customer_count
        < {{ policy_value('fit_sample_customers') }} as is_sampled
    from current_customers
    inner join sources
        on current_customers.source = sources.source

),

sampled_orders as (

    select orders.*
    from orders
    inner join sampled
        on
            orders.source = sampled.source
            and orders.customer_id = sampled.customer_id
            and sampled.is_sampled

),

sampled_lines as (

    select
        order_lines.*,
        sampled_orders.customer_id as ordering_customer_id
    from order_lines
    inner join sampled_orders
        on
            order_lines.source = sampled_orders.source
            and order_lines.order_id = sampled_orders.order_id

),

-- lines of an order that share a day and a stratum share their maturity on every day
placed as (

    select
        source,
        order_id,
        ordering_customer_id,
        ordered_date,
        coalesce(marketplace, 'unknown') as marketplace,
        {{ completion_stratum(1) }} as stratum_1,
        {{ completion_stratum(2) }} as stratum_2,
        quantity,
        net_amount
    from sampled_lines

),

sales as (

    select
        source,
        order_id,
        ordering_customer_id as customer_id,
        ordered_date,
        marketplace,
        stratum_1,
        stratum_2,
        count(*) as line_count,
        sum(quantity) as quantity,
        sum(net_amount) as net_amount
    from placed
    group by
        source, order_id, ordering_customer_id, ordered_date, marketplace, stratum_1, stratum_2

),

-- a line counts as returned from the first day that something of it came back
numbered_returns as (

    select
        returns.source,
        sampled_lines.order_id,
        sampled_lines.ordered_date,
        returns.booked_date,
        returns.quantity,
        returns.refund_amount,
        row_number() over (
            partition by returns.source, returns.order_line_id
            order by returns.booked_date, returns.return_id, returns.allocation_number
        ) as return_number
    from returns
    inner join sampled_lines
        on
            returns.source = sampled_lines.source
            and returns.order_line_id = sampled_lines.order_line_id

),

known_sales as (

    select
        sales.source,
        sales.order_id,
        sales.customer_id,
        as_of_dates.as_of_date,
        min(sales.ordered_date) as ordered_date,
        sum(sales.line_count) as line_count,
        sum(sales.quantity) as quantity,
        sum(sales.net_amount) as net_amount,
        sum(sales.line_count * coalesce(maturities.maturity, 1)) as effective_exposure
    from sales
    inner join as_of_dates
        on
            sales.source = as_of_dates.source
            and sales.ordered_date <= as_of_dates.as_of_date
            and {{ days_between('sales.ordered_date', 'as_of_dates.as_of_date') }}
            < {{ policy_value('rfm_lookback_days') }}
    left join maturities
        on
            sales.source = maturities.source
            and as_of_dates.as_of_date = maturities.as_of_date
            and sales.ordered_date = maturities.ordered_date
            and sales.marketplace = maturities.marketplace
            and sales.stratum_1 = maturities.stratum_1
            and sales.stratum_2 = maturities.stratum_2
    group by sales.source, sales.order_id, sales.customer_id, as_of_dates.as_of_date

),

known_returns as (

    select
        numbered_returns.source,
        numbered_returns.order_id,
        as_of_dates.as_of_date,
        sum(case when numbered_returns.return_number = 1 then 1 else 0 end) as returned_line_count,
        sum(numbered_returns.quantity) as quantity,
        sum(numbered_returns.refund_amount) as refund_amount
    from numbered_returns
    inner join as_of_dates
        on
            numbered_returns.source = as_of_dates.source
            and numbered_returns.booked_date <= as_of_dates.as_of_date
            and numbered_returns.ordered_date <= as_of_dates.as_of_date
            and {{ days_between('numbered_returns.ordered_date', 'as_of_dates.as_of_date') }}
            < {{ policy_value('rfm_lookback_days') }}
    group by numbered_returns.source, numbered_returns.order_id, as_of_dates.as_of_date

),

known_orders as (

    select
        known_sales.*,
        coalesce(known_returns.returned_line_count, 0) as returned_line_count,
        known_sales.net_amount - coalesce(known_returns.refund_amount, 0) as kept_amount,
        coalesce(known_returns.quantity, 0) < known_sales.quantity as is_kept,
        {{ days_between('known_sales.ordered_date', 'known_sales.as_of_date') }}
        < {{ policy_value('segment_lookback_days') }} as is_recent
    from known_sales
    left join known_returns
        on
            known_sales.source = known_returns.source
            and known_sales.order_id = known_returns.order_id
            and known_sales.as_of_date = known_returns.as_of_date

),

past_customers as (

    select
        source,
        customer_id,
        as_of_date,
        false as is_current,
        min(ordered_date) as first_ordered_date,
        max(ordered_date) as last_ordered_date,
        max(case when is_kept then ordered_date end) as last_kept_date,
        count(*) as order_count,
        sum(case when is_kept then 1 else 0 end) as frequency,
        sum(kept_amount) as monetary,
        sum(line_count) as line_count,
        sum(returned_line_count) as returned_line_count,
        sum(effective_exposure) as effective_exposure,
        sum(case when is_recent and is_kept then 1 else 0 end) as recent_frequency,
        sum(case when is_recent then kept_amount else 0 end) as recent_monetary,
        sum(case when is_recent then line_count else 0 end) as recent_line_count,
        sum(case when is_recent then returned_line_count else 0 end) as recent_returned_line_count,
        sum(case when is_recent then effective_exposure else 0 end) as recent_effective_exposure
    from known_orders
    group by source, customer_id, as_of_date

),

snapshots as (

    select
        *,
        true as is_sampled
    from past_customers

    union all

    select * from sampled

),

-- the rate of everybody on that day, which stands in for the lines that a customer has not bought
prior_rates as (

    select
        source,
        as_of_date,
        least(1, cast(sum(returned_line_count) as double) / nullif(sum(effective_exposure), 0))
            as prior_rate,
        least(
            1,
            cast(sum(recent_returned_line_count) as double)
            / nullif(sum(recent_effective_exposure), 0)
        ) as recent_prior_rate
    from snapshots
    group by source, as_of_date

),

final as (

    select
        snapshots.source,
        snapshots.as_of_date,
        snapshots.customer_id,
        snapshots.is_current,
        snapshots.is_sampled,
        snapshots.first_ordered_date,
        snapshots.last_ordered_date,
        cast({{ days_between(
            'coalesce(snapshots.last_kept_date, snapshots.last_ordered_date)',
            'snapshots.as_of_date'
        ) }} as bigint) as recency_days,
        cast(snapshots.order_count as bigint) as order_count,
        cast(snapshots.frequency as bigint) as frequency,
        cast(snapshots.monetary as decimal(18, 4)) as monetary,
        cast(snapshots.line_count as bigint) as line_count,
        cast(snapshots.returned_line_count as bigint) as returned_line_count,
        cast(snapshots.effective_exposure as decimal(18, 6)) as effective_exposure,
        coalesce(prior_rates.prior_rate, 0) as prior_rate,
        {{ exposure_rate(
            'snapshots.returned_line_count',
            'cast(snapshots.effective_exposure as double)',
            'coalesce(prior_rates.prior_rate, 0)',
            policy_value('customer_prior_lines')
        ) }} as shrunk_return_rate,
        cast(snapshots.recent_frequency as bigint) as recent_frequency,
        cast(snapshots.recent_monetary as decimal(18, 4)) as recent_monetary,
        cast(snapshots.recent_line_count as bigint) as recent_line_count,
        cast(snapshots.recent_returned_line_count as bigint) as recent_returned_line_count,
        cast(snapshots.recent_effective_exposure as decimal(18, 6)) as recent_effective_exposure,
        coalesce(prior_rates.recent_prior_rate, 0) as recent_prior_rate,
        {{ exposure_rate(
            'snapshots.recent_returned_line_count',
            'cast(snapshots.recent_effective_exposure as double)',
            'coalesce(prior_rates.recent_prior_rate, 0)',
            policy_value('customer_prior_lines')
        ) }} as recent_return_rate
    from snapshots
    inner join prior_rates
        on
            snapshots.source = prior_rates.source
            and snapshots.as_of_date = prior_rates.as_of_date

)

select * from final
