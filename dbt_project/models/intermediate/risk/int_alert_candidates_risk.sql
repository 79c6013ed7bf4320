-- Monitor: sellers and products that bring back more than others, all of the last year, or of what
-- there is of it. An ordinary one may differ as much as ordinary ones did then.

with weeks as (

    select * from {{ ref('int_alert_weeks') }} where entity_type in ('seller', 'product')

),

ordinary as (

    select * from {{ ref('int_alert_spreads') }}

),

compared as (

    select
        weeks.source,
        weeks.entity_type,
        weeks.entity_id,
        weeks.week_no,
        weeks.week_no as end_week,
        least(364, 7 * (weeks.week_no - weeks.first_week + 1)) as window_days,
        weeks.lines_52 as lines,
        weeks.observed_52 as observed,
        weeks.expected_52 as expected,
        weeks.final_expected_52 as expected_final,
        least(weeks.squares_52 / weeks.expected_52, 0.9999) as chance,
        ordinary.dispersion
        + weeks.variance_52
        / (weeks.expected_52 * (1 - least(weeks.squares_52 / weeks.expected_52, 0.9999)))
            as dispersion,
        ordinary.null_spread * ordinary.null_spread as spread_variance
    from weeks
    inner join ordinary
        on
            weeks.source = ordinary.source
            and weeks.entity_type = ordinary.entity_type
            and weeks.week_no = ordinary.week_no
    where weeks.expected_52 > 0.001

),

{{ alert_candidates(
    'risk', 'return rate',
    "'going by others of the same weeks, marketplace and category'"
) }}

select * from final
