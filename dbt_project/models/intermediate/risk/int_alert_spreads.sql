-- How far chance and ordinary differences move returns, as known in each replayed week: what lines
-- of one order have in common, and how much the ratios of ordinary sellers and products differ. The
-- latter is fitted every thirteenth week as in int_risk_spreads: squares cut off at the tenth and
-- ninetieth percentile, the smallest spread of a grid that explains what is seen.

with weeks as (

    select * from {{ ref('int_alert_weeks') }}

),

dispersions as (

    select * from {{ ref('int_return_dispersion') }} where unit = 'lines'

),

confidence_levels as (

    select * from {{ ref('policy_confidence_levels') }} where confidence_percent = 80

),

steps as (

    select {{ each_number(0, 41) }} as step_number

),

spreads as (

    select cast(step_number as double) / 40 as spread
    from steps

),

-- each replayed day counts until the next one, the first also for what was before
dated as (

    select
        source,
        {{ week_number(dbt.dateadd('day', 1, 'as_of_date')) }} - 1 as known_week,
        max(dispersion) as dispersion
    from dispersions
    group by source, {{ week_number(dbt.dateadd('day', 1, 'as_of_date')) }} - 1

),

valid as (

    select
        source,
        dispersion,
        case
            when lag(known_week) over (partition by source order by known_week) is null then 0
            else known_week
        end as first_week,
        coalesce(lead(known_week) over (partition by source order by known_week), 1000000)
            as next_week
    from dated

),

entity_weeks as (

    select distinct
        weeks.source,
        weeks.entity_type,
        weeks.week_no,
        coalesce(valid.dispersion, 1) as dispersion
    from (
        select distinct
            source,
            entity_type,
            week_no
        from weeks
    ) as weeks
    left join valid
        on
            weeks.source = valid.source
            and weeks.week_no >= valid.first_week
            and weeks.week_no < valid.next_week

),

-- the square of a standard normal, cut off there, is this on average
constants as (

    select
        z * z as square_max,
        0.8 + 0.2 * z * z - 2 * z * exp(-z * z / 2) / 2.5066282746310002 as square_mean
    from confidence_levels

),

ratios as (

    select
        weeks.source,
        weeks.entity_type,
        weeks.week_no,
        weeks.observed_52 / weeks.expected_52 as ratio,
        (
            entity_weeks.dispersion
            * (1 - least(weeks.squares_52 / weeks.expected_52, 0.9999))
            + weeks.variance_52 / weeks.expected_52
        )
        / weeks.expected_52 as ratio_variance
    from weeks
    inner join entity_weeks
        on
            weeks.source = entity_weeks.source
            and weeks.entity_type = entity_weeks.entity_type
            and weeks.week_no = entity_weeks.week_no
    where
        weeks.entity_type in ('seller', 'product')
        and weeks.week_no % 13 = 0
        and weeks.expected_52 >= {{ policy_value('risk_min_expected_returns') }}

),

-- rounded before they are added up, so that no sum depends on the order of rows
squared as (

    select
        ratios.source,
        ratios.entity_type,
        ratios.week_no,
        spreads.spread,
        count(*) as members,
        cast(
            sum(
                cast(
                    least(
                        (ratios.ratio - 1) * (ratios.ratio - 1)
                        / (ratios.ratio_variance + spreads.spread * spreads.spread),
                        constants.square_max
                    ) as decimal(18, 9)
                )
            ) as double
        ) as cut_square,
        max(constants.square_mean) as square_mean
    from ratios
    cross join spreads
    cross join constants
    group by ratios.source, ratios.entity_type, ratios.week_no, spreads.spread

),

-- too few members say nothing about how much they differ
fitted as (

    select
        source,
        entity_type,
        week_no,
        case
            when max(members) >= {{ policy_value('risk_min_peers') }}
                then min(
                    case when cut_square <= members * square_mean or spread = 1 then spread end
                )
        end as null_spread
    from squared
    group by source, entity_type, week_no

),

final as (

    select
        entity_weeks.source,
        entity_weeks.entity_type,
        entity_weeks.week_no,
        cast(entity_weeks.dispersion as double) as dispersion,
        coalesce(
            fitted.null_spread,
            cast({{ policy_value('risk_default_spread_percent') }} as double) / 100
        ) as null_spread
    from entity_weeks
    left join fitted
        on
            entity_weeks.source = fitted.source
            and entity_weeks.entity_type = fitted.entity_type
            and entity_weeks.week_no - entity_weeks.week_no % 13 = fitted.week_no

)

select * from final
