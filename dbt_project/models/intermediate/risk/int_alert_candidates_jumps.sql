-- Monitor: what came back of the last four and eight weeks' sales, against what the entity's own
-- past leads one to expect. Sellers and products are held against others of the same weeks, times what
-- they were worth before; categories and marketplaces against their own year, times what all others
-- do now: neither Christmas nor a crisis that meets everybody is a jump.

with weeks as (

    select * from {{ ref('int_alert_weeks') }}

),

dispersions as (

    select * from {{ ref('int_return_dispersion') }} where is_current and unit = 'lines'

),

windows as (

    {%- for window in [4, 8] %}

    select
        source,
        entity_type,
        entity_id,
        week_no,
        {{ 7 * window }} as window_days,
        lines_{{ window }} as lines,
        observed_{{ window }} as observed,
        expected_{{ window }} as expected,
        final_expected_{{ window }} as expected_final,
        squares_{{ window }} as squares,
        variance_{{ window }} as variance,
        past_observed,
        past_expected
    from weeks
    where expected_{{ window }} > 0.001
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- rounded before they are added up, so that no sum depends on the order of rows
totals as (

    select
        *,
        sum(observed) over (partition by source, entity_type, window_days, week_no)
            as total_observed,
        cast(
            sum(cast(expected as decimal(18, 6))) over (
                partition by source, entity_type, window_days, week_no
            ) as double
        ) as total_expected,
        1 / power(cast({{ policy_value('risk_default_spread_percent') }} as double) / 100, 2)
            as prior_returns
    from windows

),

levelled as (

    select
        *,
        case
            when entity_type in ('seller', 'product')
                then (past_observed + prior_returns) / (past_expected + prior_returns)
            -- that others do better, or that their parcels are late, is no reason for alarm
            else
                greatest(
                    1,
                    (total_observed - observed + {{ policy_value('risk_trend_prior_returns') }})
                    / (total_expected - expected + {{ policy_value('risk_trend_prior_returns') }})
                )
        end as usual,
        case
            when entity_type in ('seller', 'product')
                then 1 / (past_observed + prior_returns)
            else 0
        end as usual_variance
    from totals

),

compared as (

    select
        levelled.source,
        levelled.entity_type,
        levelled.entity_id,
        levelled.week_no,
        levelled.window_days,
        levelled.lines,
        levelled.observed,
        levelled.usual * levelled.expected as expected,
        levelled.usual * levelled.expected_final as expected_final,
        least(levelled.usual * levelled.squares / levelled.expected, 0.9999) as chance,
        coalesce(dispersions.dispersion, 1)
        + levelled.usual * levelled.variance / (
            levelled.expected
            * (1 - least(levelled.usual * levelled.squares / levelled.expected, 0.9999))
        ) as dispersion,
        coalesce(dispersions.dispersion, 1) * levelled.usual_variance
        + power(cast({{ policy_value('alert_change_percent') }} as double) / 100, 2)
            as spread_variance
    from levelled
    left join dispersions
        on levelled.source = dispersions.source

),

{{ alert_candidates(
    'jumps', 'jump of the return rate', 'by the time before and by what all others do now'
) }}

select * from final
