-- categories add up to the whole, weeks follow one another without a gap, and what came is what the
-- ledger says

with forecasts as (

    select * from {{ ref('return_forecast') }}

),

category_sums as (

    select
        source,
        known_on,
        week_start,
        sum(case when category = 'all' then 0 else expected_units end) as expected_units,
        sum(case when category = 'all' then 0 else units_from_sold end) as units_from_sold,
        sum(case when category = 'all' then 0 else actual_units end) as actual_units,
        sum(case when category = 'all' then 1 else 0 end) as all_rows
    from forecasts
    group by source, known_on, week_start

),

unequal_categories as (

    select
        'the categories add up to all' as claim,
        category_sums.source,
        cast(category_sums.known_on as string) || ' ' || cast(category_sums.week_start as string)
            as example
    from category_sums
    left join forecasts
        on
            category_sums.source = forecasts.source
            and category_sums.known_on = forecasts.known_on
            and category_sums.week_start = forecasts.week_start
            and forecasts.category = 'all'
    where
        category_sums.all_rows <> 1
        or forecasts.expected_units <> category_sums.expected_units
        or forecasts.units_from_sold <> category_sums.units_from_sold
        or forecasts.actual_units <> category_sums.actual_units

),

ordered as (

    select
        source,
        known_on,
        first_day,
        last_day,
        lag(last_day) over (
            partition by source, known_on, category order by week_start
        ) as previous_last_day
    from forecasts
    where category = 'all'

),

gaps as (

    select
        'the weeks follow one another from the day after known_on' as claim,
        source,
        cast(known_on as string) as example
    from ordered
    where
        {{ days_between('coalesce(previous_last_day, known_on)', 'first_day') }} <> 1
        or {{ weekday('last_day') }} <> 7

),

came as (

    select
        forecasts.source,
        forecasts.known_on,
        forecasts.week_start,
        sum(returns.quantity) as quantity
    from forecasts
    inner join {{ ref('returns') }} as returns
        on
            forecasts.source = returns.source
            and forecasts.category = 'all'
            and returns.returned_date between forecasts.first_day and forecasts.last_day
    group by forecasts.source, forecasts.known_on, forecasts.week_start

),

unequal_to_ledger as (

    select
        'what came is what the ledger says' as claim,
        forecasts.source,
        cast(forecasts.known_on as string) || ' ' || cast(forecasts.week_start as string)
            as example
    from forecasts
    left join came
        on
            forecasts.source = came.source
            and forecasts.known_on = came.known_on
            and forecasts.week_start = came.week_start
    where
        forecasts.category = 'all'
        and (
            (forecasts.actual_units is null) <> (forecasts.last_day > forecasts.as_of_date)
            or forecasts.actual_units <> coalesce(came.quantity, 0)
        )

),

missing as (

    select
        'every replayed day with a curve has a forecast' as claim,
        curves.source,
        cast(curves.as_of_date as string) as example
    from (
        select distinct
            source,
            as_of_date
        from {{ ref('int_completion_curves') }}
    ) as curves
    left join forecasts
        on
            curves.source = forecasts.source
            and curves.as_of_date = forecasts.known_on
            and forecasts.category = 'all'
    where forecasts.source is null

)

select * from unequal_categories
union all
select * from gaps
union all
select * from unequal_to_ledger
union all
select * from missing
