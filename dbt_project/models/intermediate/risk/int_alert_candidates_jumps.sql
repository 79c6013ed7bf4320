-- Monitor: what came back of the last four and eight weeks' sales, against what the entity's own
-- past leads one to expect. Sellers and products are held against others of the same weeks, times
-- what they were worth before; categories and marketplaces against their own year, times what all
-- others do now: neither Christmas nor a crisis that meets everybody is a jump of
-- one of them. It is one of all sales together, which are held against their own year alone.

with weeks as (

    select * from {{ ref('int_alert_weeks') }}

),

ordinary as (

    select * from {{ ref('int_alert_spreads') }}

),

-- also the four weeks before the last four: short, but by now most of their returns have come
windows as (

    {%- for window, less in [('4', none), ('8', none), ('8', '4')] %}

    select
        source,
        entity_type,
        entity_id,
        week_no,
        week_no - {{ less or 0 }} as end_week,
        {{ 28 if less else 7 * (window | int) }} as window_days,
        {%- for column, name in {
            'lines': 'lines', 'observed': 'observed', 'expected': 'expected',
            'final_expected': 'expected_final', 'squares': 'squares', 'variance': 'variance',
        }.items() %}
        {{ column }}_{{ window }}{{ ' - ' ~ column ~ '_' ~ less if less }} as {{ name }},
        {%- endfor %}
        past_observed,
        past_expected
    from weeks
    where expected_{{ window }}{{ ' - expected_' ~ less if less }} > 0.001
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- everybody together, for those who are held against it; rounded before they are added up, so
-- that no sum depends on the order of rows
totals as (

    select
        source,
        entity_type,
        window_days,
        end_week,
        week_no,
        sum(observed) as total_observed,
        cast(sum(cast(expected as decimal(18, 6))) as double) as total_expected
    from windows
    where entity_type not in ('seller', 'product')
    group by source, entity_type, window_days, end_week, week_no

),

priors as (

    select
        1 / power(cast({{ policy_value('risk_default_spread_percent') }} as double) / 100, 2)
            as prior_returns

),

levelled as (

    select
        windows.*,
        (windows.past_observed + priors.prior_returns)
        / (windows.past_expected + priors.prior_returns) as usual,
        1 / (windows.past_observed + priors.prior_returns) as usual_variance
    from windows
    cross join priors
    -- who has no past has not jumped
    where
        windows.entity_type in ('seller', 'product')
        and windows.past_expected >= {{ policy_value('risk_min_expected_returns') }}

    union all

    -- that others do better, or that their parcels are late, is no reason for alarm
    select
        windows.*,
        greatest(
            1,
            (
                totals.total_observed - windows.observed
                + {{ policy_value('risk_trend_prior_returns') }}
            )
            / (
                totals.total_expected - windows.expected
                + {{ policy_value('risk_trend_prior_returns') }}
            )
        ) as usual,
        0 as usual_variance
    from windows
    inner join totals
        on
            windows.source = totals.source
            and windows.entity_type = totals.entity_type
            and windows.window_days = totals.window_days
            and windows.end_week = totals.end_week
            and windows.week_no = totals.week_no

),

compared as (

    select
        levelled.source,
        levelled.entity_type,
        levelled.entity_id,
        levelled.week_no,
        levelled.end_week,
        levelled.window_days,
        levelled.lines,
        levelled.observed,
        levelled.usual * levelled.expected as expected,
        levelled.usual * levelled.expected_final as expected_final,
        least(levelled.usual * levelled.squares / levelled.expected, 0.9999) as chance,
        ordinary.dispersion
        + levelled.usual * levelled.variance / (
            levelled.expected
            * (1 - least(levelled.usual * levelled.squares / levelled.expected, 0.9999))
        ) as dispersion,
        ordinary.dispersion * levelled.usual_variance
        + power(cast({{ policy_value('alert_change_percent') }} as double) / 100, 2)
            as spread_variance
    from levelled
    inner join ordinary
        on
            levelled.source = ordinary.source
            and levelled.entity_type = ordinary.entity_type
            and levelled.week_no = ordinary.week_no
    where
        levelled.usual * levelled.expected >= {{ policy_value('risk_min_expected_returns') }}

),

{{ alert_candidates(
    'jumps',
    'jump of the return rate',
    "case when shrunk.entity_type = 'all' then 'going by the year before' "
    ~ "else 'going by the time before and by all others now' end"
) }}

select * from final
