-- What came back in each of the last weeks of what each week had sold: as known, as the curve and
-- the usual return rate let expect, and, whatever the rate, as what had already come lets expect
-- (chain ladder). As known on the as-of date, by the curve of that day, lags left out.

{% set window_days = var('return_window_days') | int -%}

with sources as (

    select * from {{ ref('int_sources') }}

),

sale_cells as (

    select * from {{ ref('int_sale_cells') }}

),

return_cells as (

    select * from {{ ref('int_return_cells') }} where days_to_return <= {{ window_days }}

),

curves as (

    select
        curves.source,
        curves.level,
        curves.stratum_1,
        curves.age_days,
        cast(curves.completion as double) as completion
    from {{ ref('int_completion_curves') }} as curves
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on
            curves.source = as_of_dates.source
            and curves.as_of_date = as_of_dates.as_of_date
            and as_of_dates.is_current
    where curves.level < 2

),

cohorts as (

    select
        source,
        marketplace,
        stratum_1,
        ordered_date,
        sum(line_count) as line_count
    from sale_cells
    group by source, marketplace, stratum_1, ordered_date

),

strata as (

    select distinct
        source,
        stratum_1
    from cohorts

),

-- every stratum has a curve: its own or that of the source
stratum_curves as (

    select
        strata.source,
        strata.stratum_1,
        source_curves.age_days,
        coalesce(own_curves.completion, source_curves.completion) as completion
    from strata
    inner join curves as source_curves
        on
            strata.source = source_curves.source
            and source_curves.level = 0
    left join curves as own_curves
        on
            strata.source = own_curves.source
            and strata.stratum_1 = own_curves.stratum_1
            and source_curves.age_days = own_curves.age_days
            and own_curves.level = 1

),

-- returns of the last year's sales over their effective exposure
exposures as (

    select
        cohorts.source,
        cohorts.stratum_1,
        sum(cohorts.line_count * {{ exact('stratum_curves.completion') }}) as exposure
    from cohorts
    inner join sources
        on cohorts.source = sources.source
    inner join stratum_curves
        on
            cohorts.source = stratum_curves.source
            and cohorts.stratum_1 = stratum_curves.stratum_1
            and least(
                {{ days_between('cohorts.ordered_date', 'sources.as_of_date') }},
                {{ policy_value('completion_max_age_days') }}
            ) = stratum_curves.age_days
    where
        {{ days_between('cohorts.ordered_date', 'sources.as_of_date') }}
        < {{ policy_value('completion_window_days') }}
    group by cohorts.source, cohorts.stratum_1

),

year_returns as (

    select
        return_cells.source,
        return_cells.stratum_1,
        sum(return_cells.return_count) as return_count
    from return_cells
    inner join sources
        on return_cells.source = sources.source
    where
        {{ days_between('return_cells.ordered_date', 'sources.as_of_date') }}
        < {{ policy_value('completion_window_days') }}
    group by return_cells.source, return_cells.stratum_1

),

rates as (

    select
        exposures.source,
        exposures.stratum_1,
        coalesce(year_returns.return_count, 0)
        / nullif(cast(exposures.exposure as double), 0) as return_rate
    from exposures
    left join year_returns
        on
            exposures.source = year_returns.source
            and exposures.stratum_1 = year_returns.stratum_1

),

weeks as (

    select
        source,
        as_of_date,
        {{ week_start('day') }} as arrival_week,
        max(day) as last_day
    from {{ ref('int_days') }}
    where
        {{ days_between('day', 'as_of_date') }} < 7 * {{ policy_value('label_delay_weeks') }} + 7
    group by source, as_of_date, {{ week_start('day') }}

),

arrivals as (

    select
        source,
        marketplace,
        stratum_1,
        ordered_date,
        {{ week_start('returned_date') }} as arrival_week,
        sum(return_count) as return_count
    from return_cells
    group by
        source, marketplace, stratum_1, ordered_date, {{ week_start('returned_date') }}

),

-- each day's sales in each week until their window is over
watched as (

    select
        cohorts.source,
        cohorts.marketplace,
        cohorts.stratum_1,
        cohorts.ordered_date,
        cohorts.line_count,
        weeks.arrival_week,
        {{ days_between('cohorts.ordered_date', 'weeks.arrival_week') }} - 1 as age_before,
        least(
            {{ days_between('cohorts.ordered_date', 'weeks.last_day') }},
            {{ window_days }},
            {{ policy_value('completion_max_age_days') }}
        ) as age_after,
        coalesce(arrivals.return_count, 0) as return_count
    from cohorts
    inner join weeks
        on
            cohorts.source = weeks.source
            and cohorts.ordered_date <= weeks.last_day
            and {{ days_between('cohorts.ordered_date', 'weeks.arrival_week') }}
            <= {{ window_days }}
    left join arrivals
        on
            cohorts.source = arrivals.source
            and cohorts.marketplace = arrivals.marketplace
            and cohorts.stratum_1 = arrivals.stratum_1
            and cohorts.ordered_date = arrivals.ordered_date
            and weeks.arrival_week = arrivals.arrival_week

),

firsts as (

    select
        source,
        min(arrival_week) as first_week
    from weeks
    group by source

),

-- weeks before the first one watched: what had come before counts as well
earlier as (

    select
        arrivals.source,
        arrivals.marketplace,
        arrivals.stratum_1,
        arrivals.ordered_date,
        sum(arrivals.return_count) as return_count
    from arrivals
    inner join firsts
        on
            arrivals.source = firsts.source
            and arrivals.arrival_week < firsts.first_week
    group by arrivals.source, arrivals.marketplace, arrivals.stratum_1, arrivals.ordered_date

),

stepped as (

    select
        watched.*,
        coalesce(earlier.return_count, 0)
        + sum(watched.return_count) over (
            partition by
                watched.source, watched.marketplace, watched.stratum_1, watched.ordered_date
            order by watched.arrival_week
            rows between unbounded preceding and current row
        ) - watched.return_count as returned_before,
        coalesce(before.completion, 0) as completion_before,
        after.completion as completion_after
    from watched
    inner join stratum_curves as after
        on
            watched.source = after.source
            and watched.stratum_1 = after.stratum_1
            and watched.age_after = after.age_days
    left join stratum_curves as before
        on
            watched.source = before.source
            and watched.stratum_1 = before.stratum_1
            and watched.age_before = before.age_days
    left join earlier
        on
            watched.source = earlier.source
            and watched.marketplace = earlier.marketplace
            and watched.stratum_1 = earlier.stratum_1
            and watched.ordered_date = earlier.ordered_date

),

-- sales of which enough had come to say how much is due
begun as (

    select
        *,
        100 * completion_before >= {{ policy_value('label_delay_begun_percent') }} as is_begun,
        (completion_after - completion_before)
        / nullif(completion_before, 0) as step
    from stepped

),

final as (

    select
        begun.source,
        begun.marketplace,
        {{ week_start('begun.ordered_date') }} as sale_week,
        begun.arrival_week,
        -- counted in the week of the sale, so that they add up over arrivals
        cast(
            sum(
                case
                    when {{ week_start('begun.ordered_date') }} = begun.arrival_week
                        then begun.line_count
                    else 0
                end
            ) as bigint
        ) as line_count,
        sum(
            case
                when {{ week_start('begun.ordered_date') }} = begun.arrival_week
                    then {{ exact('begun.line_count * rates.return_rate') }}
                else 0
            end
        ) as expected_final,
        cast(sum(begun.return_count) as bigint) as return_count,
        sum({{ exact(
            'begun.line_count * rates.return_rate'
            ~ ' * (begun.completion_after - begun.completion_before)'
        ) }}) as expected_returns,
        cast(sum(case when begun.is_begun then begun.return_count else 0 end) as bigint)
            as begun_returns,
        sum({{ exact(
            'case when begun.is_begun then begun.returned_before * begun.step else 0 end'
        ) }}) as begun_due,
        sum({{ exact(
            'case when begun.is_begun'
            ~ ' then begun.returned_before * begun.step * (1 + begun.step) else 0 end'
        ) }}) as begun_variance
    from begun
    inner join rates
        on
            begun.source = rates.source
            and begun.stratum_1 = rates.stratum_1
            and rates.return_rate is not null
    group by
        begun.source, begun.marketplace, {{ week_start('begun.ordered_date') }}, begun.arrival_week

)

select * from final
