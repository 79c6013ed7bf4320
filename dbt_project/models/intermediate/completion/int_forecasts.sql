-- Units that sales will send back in each coming week, by category and for all, and how sure that
-- is: errors that are shared are added up before they are squared.

with arrivals as (

    select * from {{ ref('int_forecast_arrivals') }}

),

sales_variations as (

    select * from {{ ref('int_sales_variation') }}

),

rate_variations as (

    select * from {{ ref('int_rate_variation') }}

),

scopes as (

    select 'category' as scope
    union all
    select 'all' as scope

),

-- the sales of a month in one category and currency share a rate
rate_groups as (

    select
        source,
        as_of_date,
        category,
        week_number,
        sale_month,
        round(sum(expected_units), 9) as expected_units,
        round(sum(arrival_variance), 9)
        + power(round(sum(arriving_quantity), 9), 2) * max(rate_variance) as variance
    from arrivals
    group by source, as_of_date, category, original_currency, week_number, sale_month

),

by_category as (

    select
        source,
        as_of_date,
        category,
        week_number,
        {{ money('sum(case when sale_month is not null then expected_units else 0 end)') }}
            as units_from_sold,
        {{ money('sum(case when sale_month is null then expected_units else 0 end)') }}
            as units_from_future_sales,
        round(sum(variance), 6) as variance
    from rate_groups
    group by source, as_of_date, category, week_number

),

summed as (

    select
        by_category.source,
        by_category.as_of_date,
        case scopes.scope when 'all' then 'all' else by_category.category end as category,
        by_category.week_number,
        sum(by_category.units_from_sold) as units_from_sold,
        sum(by_category.units_from_future_sales) as units_from_future_sales,
        round(sum(by_category.variance), 6) as variance
    from by_category
    cross join scopes
    group by
        by_category.source,
        by_category.as_of_date,
        case scopes.scope when 'all' then 'all' else by_category.category end,
        by_category.week_number

),

-- those of a week share the delay
delay_groups as (

    select
        arrivals.source,
        arrivals.as_of_date,
        case scopes.scope when 'all' then 'all' else arrivals.category end as category,
        arrivals.week_number,
        round(sum(arrivals.delay_error), 9) as delay_error
    from arrivals
    cross join scopes
    group by
        arrivals.source,
        arrivals.as_of_date,
        case scopes.scope when 'all' then 'all' else arrivals.category end,
        arrivals.week_number,
        arrivals.sale_week

),

delay_variances as (

    select
        source,
        as_of_date,
        category,
        week_number,
        round(sum(delay_error * delay_error), 6) as variance
    from delay_groups
    group by source, as_of_date, category, week_number

),

-- those of a month share what makes it come back more than another
month_units as (

    select
        rate_groups.source,
        rate_groups.as_of_date,
        case scopes.scope when 'all' then 'all' else rate_groups.category end as category,
        rate_groups.week_number,
        round(sum(rate_groups.expected_units), 6) as expected_units
    from rate_groups
    cross join scopes
    group by
        rate_groups.source,
        rate_groups.as_of_date,
        case scopes.scope when 'all' then 'all' else rate_groups.category end,
        rate_groups.week_number,
        rate_groups.sale_month

),

month_variances as (

    select
        month_units.source,
        month_units.as_of_date,
        month_units.category,
        month_units.week_number,
        round(sum(month_units.expected_units * month_units.expected_units), 6)
        * max(rate_variations.relative_variance) as variance
    from month_units
    inner join rate_variations
        on
            month_units.source = rate_variations.source
            and month_units.as_of_date = rate_variations.as_of_date
    group by
        month_units.source,
        month_units.as_of_date,
        month_units.category,
        month_units.week_number

),

final as (

    select
        summed.source,
        summed.as_of_date,
        summed.category,
        summed.week_number,
        cast(summed.units_from_sold as decimal(18, 4)) as units_from_sold,
        cast(summed.units_from_future_sales as decimal(18, 4)) as units_from_future_sales,
        summed.variance
        + coalesce(delay_variances.variance, 0)
        + month_variances.variance
        + cast(summed.units_from_future_sales as double)
        * cast(summed.units_from_future_sales as double)
        * sales_variations.relative_variance as variance
    from summed
    inner join sales_variations
        on
            summed.source = sales_variations.source
            and summed.as_of_date = sales_variations.as_of_date
            and summed.category = sales_variations.category
            and summed.week_number = sales_variations.weeks_ahead
    left join delay_variances
        on
            summed.source = delay_variances.source
            and summed.as_of_date = delay_variances.as_of_date
            and summed.category = delay_variances.category
            and summed.week_number = delay_variances.week_number
    inner join month_variances
        on
            summed.source = month_variances.source
            and summed.as_of_date = month_variances.as_of_date
            and summed.category = month_variances.category
            and summed.week_number = month_variances.week_number

)

select * from final
