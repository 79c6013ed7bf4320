-- model_performance holds every line that was scored out of sample once by week and once by month,
-- and its expected returns are the sum of the probabilities; a bound is there where its value is

with performance as (

    select * from {{ ref('model_performance') }}

),

scored as (

    select
        scores.source,
        count(*) as lines,
        sum(scores.return_probability) as expected
    from {{ ref('order_return_scores') }} as scores
    inner join {{ ref('order_lines') }} as order_lines
        on
            scores.source = order_lines.source
            and scores.order_line_id = order_lines.order_line_id
    where
        scores.is_out_of_sample
        and order_lines.return_class in ('kept', 'returned', 'open')
        and order_lines.is_returned is not null
    group by scores.source

),

totals as (

    select
        source,
        period_grain,
        sum(lines) as lines,
        sum(observed_returns) as observed_returns,
        sum(expected_returns) as expected_returns,
        sum(estimated * lines) as expected
    from performance
    where entity_type = 'all' and metric = 'base_rate'
    group by source, period_grain

),

grains as (

    select 'week' as period_grain

    union all

    select 'month' as period_grain

),

miscounted as (

    select
        'every scored line counts once, by week and by month' as claim,
        scored.source,
        grains.period_grain as example
    from scored
    cross join grains
    left join totals
        on
            scored.source = totals.source
            and grains.period_grain = totals.period_grain
    where
        coalesce(totals.lines, 0) <> scored.lines
        or abs(totals.expected - scored.expected) > 0.000001 * scored.lines

),

unequal as (

    select
        'months add up to weeks' as claim,
        weeks.source,
        'all' as example
    from totals as weeks
    inner join totals as months
        on weeks.source = months.source
    where
        weeks.period_grain = 'week'
        and months.period_grain = 'month'
        and (
            weeks.observed_returns <> months.observed_returns
            or abs(weeks.expected_returns - months.expected_returns) > 0.001
        )

),

unlike as (

    select
        'the rows of a part have the same lines' as claim,
        source,
        entity_type || ' ' || entity_id as example
    from performance
    group by source, period_grain, period_start, entity_type, entity_id
    having min(lines) <> max(lines) or min(observed_returns) <> max(observed_returns)

),

unbounded as (

    select
        'a bound is there where its value is' as claim,
        source,
        metric || ' ' || entity_type || ' ' || entity_id as example
    from performance
    where
        (realised is null) <> (realised_lo is null)
        or (realised is null) <> (realised_hi is null)
        or (estimated is null) <> (estimated_lo is null)
        or (estimated is null) <> (estimated_hi is null)
        or (observed_to_expected is null) <> (observed_to_expected_lo is null)
        or (observed_to_expected is null) <> (observed_to_expected_hi is null)

),

said_to_hold as (

    select
        'no condition says Holds where the ratio is surely off' as claim,
        source,
        metric || ' ' || entity_type || ' ' || entity_id as example
    from performance
    where
        calibration_status = 'as said'
        and (observed_to_expected_lo > 1 or observed_to_expected_hi < 1)
        and condition like 'Holds:%'

),

final as (

    select * from miscounted

    union all

    select * from unbounded

    union all

    select * from said_to_hold

    union all

    select * from unequal

    union all

    select * from unlike

)

select * from final
