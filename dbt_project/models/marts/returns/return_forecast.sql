{% set history_days = '7 * ' ~ policy_value('forecast_history_weeks') -%}

with forecasts as (

    select * from {{ ref('int_forecasts') }}

),

curves as (

    select * from {{ ref('int_completion_curves') }} where level = 0 and age_days = 0

),

sale_cells as (

    select * from {{ ref('int_sale_cells') }}

),

returns as (

    select * from {{ ref('returns') }} where returned_date is not null

),

sources as (

    select * from {{ ref('int_sources') }}

),

scopes as (

    select 'category' as scope
    union all
    select 'all' as scope

),

week_numbers as (

    select {{ each_number(1, policy_value('forecast_weeks') ~ ' + 1') }} as week_number

),

-- the weeks after each day of which a completion curve is known
calendar_weeks as (

    select
        curves.source,
        curves.as_of_date as known_on,
        week_numbers.week_number,
        cast(
            {{ dbt.dateadd(
                'day',
                '7 * (week_numbers.week_number - 1)',
                week_start(dbt.dateadd('day', 1, 'curves.as_of_date'))
            ) }}
            as date
        ) as week_start,
        least(
            {{ history_days }},
            {{ days_between('sources.first_event_date', 'curves.as_of_date') }} + 1
        ) as history_days,
        {{ days_between('sources.first_event_date', 'curves.as_of_date') }}
        >= {{ policy_value('completion_max_age_days') }} as is_curve_complete,
        sources.as_of_date
    from curves
    inner join sources
        on curves.source = sources.source
    cross join week_numbers

),

weeks as (

    select
        source,
        known_on,
        week_number,
        week_start,
        greatest(week_start, cast({{ dbt.dateadd('day', 1, 'known_on') }} as date)) as first_day,
        cast({{ dbt.dateadd('day', 6, 'week_start') }} as date) as last_day,
        {{ days_between('known_on', dbt.dateadd('day', 6, 'week_start')) }}
        - case when week_number = 1 then 0 else {{ days_between('known_on', 'week_start') }} - 1 end
            as day_count,
        history_days,
        is_curve_complete,
        as_of_date
    from calendar_weeks

),

-- nothing foresees returns whose sale is not in the data or too long ago
day_returns as (

    select
        source,
        coalesce(category, 'unknown') as category,
        returned_date,
        sum(quantity) as quantity,
        sum(
            case
                when
                    order_line_id is null
                    or days_to_return > {{ policy_value('completion_max_age_days') }}
                    then quantity
                else 0
            end
        ) as other_quantity,
        sum(
            case
                when
                    order_line_id is null
                    or days_to_return > {{ policy_value('completion_max_age_days') }}
                    then quantity * quantity
                else 0
            end
        ) as squared_other_quantity
    from returns
    group by source, coalesce(category, 'unknown'), returned_date

),

categories as (

    select
        source,
        category
    from sale_cells

    union

    select
        source,
        category
    from day_returns

    union

    select
        source,
        'all' as category
    from sale_cells

),

-- they come as they came of late: chance in the week, and chance in what was counted
other_weeks as (

    select
        weeks.source,
        weeks.known_on,
        weeks.week_number,
        day_returns.category,
        {{ money(
            'cast(sum(day_returns.other_quantity) as double)'
            ~ ' * max(weeks.day_count) / max(weeks.history_days)'
        ) }} as other_units,
        cast(sum(day_returns.squared_other_quantity) as double)
        * max(weeks.day_count) / max(weeks.history_days)
        * (1 + cast(max(weeks.day_count) as double) / max(weeks.history_days)) as variance
    from weeks
    inner join day_returns
        on
            weeks.source = day_returns.source
            and weeks.known_on >= day_returns.returned_date
            and {{ days_between('day_returns.returned_date', 'weeks.known_on') }}
            < weeks.history_days
            and day_returns.other_quantity > 0
    group by weeks.source, weeks.known_on, weeks.week_number, day_returns.category

),

others as (

    select
        other_weeks.source,
        other_weeks.known_on,
        other_weeks.week_number,
        case scopes.scope when 'all' then 'all' else other_weeks.category end as category,
        sum(other_weeks.other_units) as other_units,
        round(sum(other_weeks.variance), 6) as variance
    from other_weeks
    cross join scopes
    group by
        other_weeks.source,
        other_weeks.known_on,
        other_weeks.week_number,
        case scopes.scope when 'all' then 'all' else other_weeks.category end

),

actuals as (

    select
        weeks.source,
        weeks.known_on,
        weeks.week_number,
        case scopes.scope when 'all' then 'all' else day_returns.category end as category,
        sum(day_returns.quantity) as actual_units
    from weeks
    inner join day_returns
        on
            weeks.source = day_returns.source
            and day_returns.returned_date between weeks.first_day and weeks.last_day
    cross join scopes
    group by
        weeks.source,
        weeks.known_on,
        weeks.week_number,
        case scopes.scope when 'all' then 'all' else day_returns.category end

),

joined as (

    select
        weeks.source,
        weeks.known_on,
        weeks.week_start,
        categories.category,
        weeks.first_day,
        weeks.last_day,
        coalesce(forecasts.units_from_sold, 0) as units_from_sold,
        coalesce(forecasts.units_from_future_sales, 0) as units_from_future_sales,
        coalesce(others.other_units, 0) as units_from_other,
        coalesce(forecasts.units_from_sold, 0) + coalesce(forecasts.units_from_future_sales, 0)
        + coalesce(others.other_units, 0) as expected_units,
        coalesce(forecasts.variance, 0) + coalesce(others.variance, 0) as variance,
        case
            when weeks.last_day <= weeks.as_of_date then coalesce(actuals.actual_units, 0)
        end as actual_units,
        weeks.is_curve_complete,
        weeks.as_of_date
    from weeks
    inner join categories
        on weeks.source = categories.source
    left join forecasts
        on
            weeks.source = forecasts.source
            and weeks.known_on = forecasts.as_of_date
            and weeks.week_number = forecasts.week_number
            and categories.category = forecasts.category
    left join others
        on
            weeks.source = others.source
            and weeks.known_on = others.known_on
            and weeks.week_number = others.week_number
            and categories.category = others.category
    left join actuals
        on
            weeks.source = actuals.source
            and weeks.known_on = actuals.known_on
            and weeks.week_number = actuals.week_number
            and categories.category = actuals.category

),

-- a gamma distribution has its highest upper end at this variance, a larger one would lower it
capped as (

    select
        *,
        least(variance, power(1.5 * {{ interval_z() }} * cast(expected_units as double), 2))
            as bounding_variance
    from joined

),

-- with so few units expected that perhaps none comes, the lower end is none
bounded as (

    select
        *,
        case
            when
                cast(expected_units as double)
                < -ln(0.5 - cast({{ policy_value('interval_confidence_percent') }} as double) / 200)
                then 0
            else
                least(
                    expected_units,
                    {{ money(gamma_bound(
                        'cast(expected_units as double)', 'bounding_variance', interval_z(), '-'
                    )) }}
                )
        end as expected_lo,
        greatest(
            expected_units,
            {{ money(gamma_bound(
                'cast(expected_units as double)', 'bounding_variance', interval_z(), '+'
            )) }}
        ) as expected_hi
    from capped

),

final as (

    select
        source,
        known_on,
        week_start,
        category,
        first_day,
        last_day,
        cast(units_from_sold as decimal(18, 4)) as units_from_sold,
        cast(units_from_future_sales as decimal(18, 4)) as units_from_future_sales,
        cast(units_from_other as decimal(18, 4)) as units_from_other,
        cast(expected_units as decimal(18, 4)) as expected_units,
        cast(expected_lo as decimal(18, 4)) as expected_lo,
        cast(expected_hi as decimal(18, 4)) as expected_hi,
        cast(actual_units as bigint) as actual_units,
        actual_units between expected_lo and expected_hi as is_covered,
        is_curve_complete,
        as_of_date
    from bounded

)

select * from final
