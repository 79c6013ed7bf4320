-- What categories and marketplaces had to expect by their own year before the window: the same
-- columns as int_risk_benchmarks. Categories follow what all others do besides, so that a season
-- or a crisis that meets everybody raises no category.

with lines as (

    select * from {{ ref('int_risk_lines') }} where comparable_lines = 1

),

windows as (

    select * from {{ ref('policy_risk_windows') }} where compared_with = 'own past'

),

days as (

    select
        source,
        marketplace,
        category,
        age_days,
        count(*) as compared_lines,
        sum(returned_lines) as returned_lines,
        sum(maturity) as exposure,
        sum(maturity * maturity) as squares
    from lines
    group by source, marketplace, category, age_days

),

cells as (

    select
        days.source,
        windows.window_days,
        days.marketplace,
        days.category,
        sum(case when days.age_days < windows.window_days then days.compared_lines else 0 end)
            as compared_lines,
        sum(
            case when days.age_days < windows.window_days then days.returned_lines else 0 end
        ) as returned_lines,
        sum(
            case when days.age_days < windows.window_days then days.exposure else 0 end
        ) as exposure,
        sum(
            case when days.age_days < windows.window_days then days.squares else 0 end
        ) as squares,
        sum(
            case when days.age_days >= windows.window_days then days.returned_lines else 0 end
        ) as past_returned_lines,
        sum(
            case when days.age_days >= windows.window_days then days.exposure else 0 end
        ) as past_exposure
    from days
    cross join windows
    group by days.source, windows.window_days, days.marketplace, days.category

),

summed as (

    select
        *,
        sum(past_returned_lines) over (partition by source, window_days, category)
            as category_returned_lines,
        sum(past_exposure) over (partition by source, window_days, category)
            as category_exposure
    from cells

),

rated as (

    select
        *,
        least(
            1,
            (
                cast(past_returned_lines as double)
                + {{ policy_value('case_mix_prior_lines') }}
                * cast(category_returned_lines as double)
                / nullif(cast(category_exposure as double), 0)
            )
            / (cast(past_exposure as double) + {{ policy_value('case_mix_prior_lines') }})
        ) as rate
    from summed
    where
        category_exposure >= {{ policy_value('risk_min_benchmark_lines') }}
        and compared_lines > 0

),

-- returned lines are whole numbers and everything else is rounded: sums do not depend on order
expected as (

    select
        source,
        window_days,
        marketplace,
        category,
        compared_lines,
        cast(returned_lines as bigint) as observed,
        cast(exposure as decimal(18, 6)) as exposure,
        cast(rate * cast(exposure as double) as decimal(18, 9)) as expected,
        cast(rate * compared_lines as decimal(18, 9)) as expected_final,
        cast(rate * rate * cast(squares as double) as decimal(18, 9)) as expected_squares,
        cast(
            rate * (1 - rate) * power(cast(exposure as double), 2)
            / (cast(past_exposure as double) + {{ policy_value('case_mix_prior_lines') }})
            as decimal(18, 9)
        ) as benchmark_variance
    from rated

),

{%- set sums = [
    'compared_lines', 'observed', 'exposure', 'expected', 'expected_final', 'expected_squares',
    'benchmark_variance',
] %}

categories as (

    select
        source,
        window_days,
        category,
        {%- for column in sums %}
        sum({{ column }}) as {{ column }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from expected
    group by source, window_days, category

),

totals as (

    select
        source,
        window_days,
        sum(observed) as observed,
        sum(expected) as expected
    from categories
    group by source, window_days

),

trends as (

    select
        categories.*,
        cast(
            totals.observed - categories.observed + {{ policy_value('risk_trend_prior_returns') }}
            as double
        )
        / cast(
            totals.expected - categories.expected + {{ policy_value('risk_trend_prior_returns') }}
            as double
        ) as trend
    from categories
    inner join totals
        on
            categories.source = totals.source
            and categories.window_days = totals.window_days

),

entities as (

    select
        source,
        'category' as entity_type,
        category as entity_id,
        window_days,
        category,
        compared_lines,
        observed,
        exposure,
        trend * cast(expected as double) as expected,
        trend * cast(expected_final as double) as expected_final,
        trend * trend * cast(expected_squares as double) as expected_squares,
        trend * trend * cast(benchmark_variance as double) as benchmark_variance
    from trends

    union all

    select
        source,
        'marketplace' as entity_type,
        marketplace as entity_id,
        window_days,
        category,
        compared_lines,
        observed,
        exposure,
        cast(expected as double) as expected,
        cast(expected_final as double) as expected_final,
        cast(expected_squares as double) as expected_squares,
        cast(benchmark_variance as double) as benchmark_variance
    from expected

),

final as (

    select
        source,
        entity_type,
        entity_id,
        window_days,
        category,
        cast(compared_lines as bigint) as compared_lines,
        cast(observed as bigint) as observed,
        cast(exposure as decimal(18, 6)) as exposure,
        cast(expected as decimal(18, 9)) as expected,
        cast(expected_final as decimal(18, 9)) as expected_final,
        cast(expected_squares as decimal(18, 9)) as expected_squares,
        cast(benchmark_variance as decimal(18, 9)) as benchmark_variance
    from entities

)

select * from final
