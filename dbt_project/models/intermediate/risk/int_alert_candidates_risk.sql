-- Monitor: sellers and products that bring back more than others, all of the last year. An ordinary
-- one may differ as much as ordinary ones do.

with weeks as (

    select * from {{ ref('int_alert_weeks') }} where entity_type in ('seller', 'product')

),

dispersions as (

    select * from {{ ref('int_return_dispersion') }} where is_current and unit = 'lines'

),

ordinary as (

    select * from {{ ref('int_risk_spreads') }} where peer_level = 1 and window_days = 365

),

compared as (

    select
        weeks.source,
        weeks.entity_type,
        weeks.entity_id,
        weeks.week_no,
        weeks.week_no as end_week,
        364 as window_days,
        weeks.lines_52 as lines,
        weeks.observed_52 as observed,
        weeks.expected_52 as expected,
        weeks.final_expected_52 as expected_final,
        least(weeks.squares_52 / weeks.expected_52, 0.9999) as chance,
        coalesce(dispersions.dispersion, 1)
        + weeks.variance_52
        / (weeks.expected_52 * (1 - least(weeks.squares_52 / weeks.expected_52, 0.9999)))
            as dispersion,
        power(
            coalesce(
                ordinary.null_spread,
                cast({{ policy_value('risk_default_spread_percent') }} as double) / 100
            ),
            2
        ) as spread_variance
    from weeks
    left join dispersions
        on weeks.source = dispersions.source
    left join ordinary
        on
            weeks.source = ordinary.source
            and weeks.entity_type = ordinary.entity_type
    where weeks.expected_52 > 0.001

),

{{ alert_candidates(
    'risk', 'return rate',
    'going by others of the same weeks, marketplace and category'
) }}

select * from final
