-- every replayed day of a source with a curve has a verdict for the whole source, and no standstill
-- lies outside what was known

with delays as (

    select * from {{ ref('return_delays') }}

),

curve_days as (

    select distinct
        source,
        as_of_date
    from {{ ref('int_completion_curves') }}

),

missing as (

    select
        'every replayed day has a verdict' as claim,
        curve_days.source,
        cast(curve_days.as_of_date as string) as example
    from curve_days
    left join delays
        on
            curve_days.source = delays.source
            and curve_days.as_of_date = delays.known_on
            and delays.marketplace = 'all'
    where delays.source is null

),

outside as (

    select
        'a standstill lies before the day it is known on' as claim,
        source,
        sentence as example
    from delays
    where
        status <> 'on_time'
        and (
            started_on is null
            or ended_on < started_on
            or ended_on > known_on
            or lag_days > {{ days_between('started_on', 'ended_on') }} + 1
            or 2 * observed_returns > expected_returns + 0.1
        )

)

select * from missing
union all
select * from outside
