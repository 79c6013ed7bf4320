-- By how many days each week of sales was delivered later than usual, as known on each replayed
-- day: what arrives late is returned late. Delivery times are cut at the days that the whole week
-- could be watched, for the week and for what is usual alike, so that parcels still on their way
-- count for as long as they have been.

with as_of_dates as (

    select * from {{ ref('int_as_of_dates') }}

),

sale_cells as (

    select * from {{ ref('int_sale_cells') }}

),

deliveries as (

    select * from {{ ref('int_delivery_cells') }}

),

sales as (

    select
        source,
        marketplace,
        ordered_date,
        {{ week_start('ordered_date') }} as sale_week,
        sum(line_count) as line_count
    from sale_cells
    group by source, marketplace, ordered_date, {{ week_start('ordered_date') }}

),

weeks as (

    select
        sales.source,
        as_of_dates.as_of_date,
        sales.marketplace,
        sales.sale_week,
        sum(sales.line_count) as line_count,
        least(
            {{ policy_value('delivery_watch_days') }},
            {{ days_between('max(sales.ordered_date)', 'as_of_dates.as_of_date') }}
        ) as watched_days
    from sales
    inner join as_of_dates
        on
            sales.source = as_of_dates.source
            and sales.ordered_date <= as_of_dates.as_of_date
            and {{ days_between('sales.ordered_date', 'as_of_dates.as_of_date') }}
            <= {{ policy_value('completion_max_age_days') }}
    group by sales.source, as_of_dates.as_of_date, sales.marketplace, sales.sale_week

),

delivered_weeks as (

    select
        weeks.source,
        weeks.as_of_date,
        weeks.marketplace,
        weeks.sale_week,
        sum(deliveries.line_count) as delivered_count,
        sum(deliveries.line_count * least(deliveries.delivery_days, weeks.watched_days))
            as delivery_days
    from weeks
    inner join deliveries
        on
            weeks.source = deliveries.source
            and weeks.marketplace = deliveries.marketplace
            and weeks.sale_week = {{ week_start('deliveries.ordered_date') }}
            and deliveries.delivery_days
            <= {{ days_between('deliveries.ordered_date', 'weeks.as_of_date') }}
            and {{ days_between('deliveries.ordered_date', 'weeks.as_of_date') }}
            <= {{ policy_value('completion_max_age_days') }}
    group by weeks.source, weeks.as_of_date, weeks.marketplace, weeks.sale_week

),

-- what is usual: the sales of a year that were watched for delivery_watch_days
usual_sales as (

    select
        sales.source,
        as_of_dates.as_of_date,
        sales.marketplace,
        sum(sales.line_count) as line_count
    from sales
    inner join as_of_dates
        on
            sales.source = as_of_dates.source
            and {{ days_between('sales.ordered_date', 'as_of_dates.as_of_date') }}
            between {{ policy_value('delivery_watch_days') }}
            and {{ policy_value('completion_window_days') }}
    group by sales.source, as_of_dates.as_of_date, sales.marketplace

),

usual_deliveries as (

    select
        deliveries.source,
        as_of_dates.as_of_date,
        deliveries.marketplace,
        deliveries.delivery_days,
        sum(deliveries.line_count) as line_count
    from deliveries
    inner join as_of_dates
        on
            deliveries.source = as_of_dates.source
            and {{ days_between('deliveries.ordered_date', 'as_of_dates.as_of_date') }}
            between {{ policy_value('delivery_watch_days') }}
            and {{ policy_value('completion_window_days') }}
    where deliveries.delivery_days <= {{ policy_value('delivery_watch_days') }}
    group by
        deliveries.source,
        as_of_dates.as_of_date,
        deliveries.marketplace,
        deliveries.delivery_days

),

cuts as (

    select distinct
        source,
        as_of_date,
        marketplace,
        watched_days
    from weeks

),

usual_delivered as (

    select
        usual_deliveries.source,
        usual_deliveries.as_of_date,
        usual_deliveries.marketplace,
        cuts.watched_days,
        sum(usual_deliveries.line_count) as delivered_count,
        sum(
            usual_deliveries.line_count * least(usual_deliveries.delivery_days, cuts.watched_days)
        ) as delivery_days
    from usual_deliveries
    inner join cuts
        on
            usual_deliveries.source = cuts.source
            and usual_deliveries.as_of_date = cuts.as_of_date
            and usual_deliveries.marketplace = cuts.marketplace
    group by
        usual_deliveries.source,
        usual_deliveries.as_of_date,
        usual_deliveries.marketplace,
        cuts.watched_days

),

compared as (

    select
        weeks.source,
        weeks.as_of_date,
        weeks.marketplace,
        weeks.sale_week,
        weeks.watched_days,
        weeks.line_count,
        cast(
            delivered_weeks.delivery_days
            + (weeks.line_count - delivered_weeks.delivered_count) * weeks.watched_days as double
        ) / weeks.line_count as delivery_days,
        cast(
            usual_delivered.delivery_days
            + (usual_sales.line_count - usual_delivered.delivered_count) * weeks.watched_days
            as double
        ) / usual_sales.line_count as usual_delivery_days
    from weeks
    inner join delivered_weeks
        on
            weeks.source = delivered_weeks.source
            and weeks.as_of_date = delivered_weeks.as_of_date
            and weeks.marketplace = delivered_weeks.marketplace
            and weeks.sale_week = delivered_weeks.sale_week
    inner join usual_sales
        on
            weeks.source = usual_sales.source
            and weeks.as_of_date = usual_sales.as_of_date
            and weeks.marketplace = usual_sales.marketplace
    inner join usual_delivered
        on
            weeks.source = usual_delivered.source
            and weeks.as_of_date = usual_delivered.as_of_date
            and weeks.marketplace = usual_delivered.marketplace
            and weeks.watched_days = usual_delivered.watched_days
    -- where most deliveries are not recorded nothing can be said
    where 2 * usual_delivered.delivered_count >= usual_sales.line_count

),

final as (

    select
        source,
        as_of_date,
        marketplace,
        sale_week,
        cast(watched_days as bigint) as watched_days,
        cast(line_count as bigint) as line_count,
        delivery_days,
        usual_delivery_days,
        cast(round(delivery_days - usual_delivery_days, 0) as bigint) as delivery_lag_days
    from compared

)

select * from final
