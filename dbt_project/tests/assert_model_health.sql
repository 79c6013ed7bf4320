-- model_health holds the weeks of model_performance, and every source has a week that is current

with health as (

    select * from {{ ref('model_health') }}

),

performance as (

    select * from {{ ref('model_performance') }}
    where period_grain = 'week' and entity_type = 'all' and metric = 'base_rate'

),

sources as (

    select * from {{ ref('int_sources') }}

),

unequal as (

    select
        'the lines are those of model_performance' as claim,
        performance.source,
        cast(performance.period_start as string) as example
    from performance
    left join health
        on
            performance.source = health.source
            and performance.period_start = health.week_start
    where coalesce(health.lines, -1) <> performance.lines

),

silent as (

    select
        'every source has one current week' as claim,
        sources.source,
        'current' as example
    from sources
    left join health
        on
            sources.source = health.source
            and health.is_current
    where sources.as_of_date is not null
    group by sources.source
    having count(health.source) <> 1

),

-- the four weeks of the last row, added up from model_performance
uncounted as (

    select
        'four weeks are four weeks' as claim,
        health.source,
        cast(health.week_start as string) as example
    from health
    inner join performance
        on
            health.source = performance.source
            and {{ days_between('performance.period_start', 'health.week_start') }}
            between 0 and 27
    group by health.source, health.week_start, health.observed_returns
    having sum(performance.observed_returns) <> health.observed_returns

),

final as (

    select * from unequal

    union all

    select * from silent

    union all

    select * from uncounted

)

select * from final
