-- Units that sales will send back in each coming week, by category and for all, and how sure that
-- is: errors that are shared are added up before they are squared.

with arrivals as (

    select * from {{ ref('int_forecast_arrivals') }}

),

sales_variations as (

    select * from {{ ref('int_sales_variation') }}

),

lines_rates as (

    select * from {{ ref('int_open_rates') }} where unit = 'lines'

),

prior_exposures as (

    select * from {{ ref('int_prior_exposures') }} where entity_type = 'all'

),

dispersions as (

    select * from {{ ref('int_return_dispersion') }} where unit = 'lines'

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

-- and all categories share what makes one month's sales come back more than another's
source_rates as (

    select
        source,
        as_of_date,
        least(1, cast(sum(numerator) as double) / nullif(round(sum(exposure), 6), 0)) as rate
    from lines_rates
    group by source, as_of_date

),

month_units as (

    select
        source,
        as_of_date,
        week_number,
        round(sum(expected_units), 6) as expected_units
    from rate_groups
    group by source, as_of_date, week_number, sale_month

),

month_variances as (

    select
        month_units.source,
        month_units.as_of_date,
        'all' as category,
        month_units.week_number,
        round(
            sum(
                month_units.expected_units * month_units.expected_units
                * (1 - source_rates.rate) * dispersions.dispersion
                / (source_rates.rate * prior_exposures.prior_exposure_lines)
            ),
            6
        ) as variance
    from month_units
    inner join source_rates
        on
            month_units.source = source_rates.source
            and month_units.as_of_date = source_rates.as_of_date
            and source_rates.rate > 0
    inner join prior_exposures
        on
            month_units.source = prior_exposures.source
            and month_units.as_of_date = prior_exposures.as_of_date
    inner join dispersions
        on
            month_units.source = dispersions.source
            and month_units.as_of_date = dispersions.as_of_date
    group by month_units.source, month_units.as_of_date, month_units.week_number

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
        + coalesce(month_variances.variance, 0)
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
    left join month_variances
        on
            summed.source = month_variances.source
            and summed.as_of_date = month_variances.as_of_date
            and summed.category = month_variances.category
            and summed.week_number = month_variances.week_number

)

select * from final
