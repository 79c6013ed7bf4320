-- Monitor: do returns come when they should? Of sales that had begun to come back, what came in the
-- week against what was due by the pace of the half year before (chain ladder): a return rate that
-- moved moves neither. All of it is dated, so each week is judged by what was known at its end:
-- figures of its own, since label_delay asks with the curve and the returns of today.

{%- set last = alert_lags() %}
{%- set half_year = 26 %}
{%- set trail = 'range between ' ~ half_year ~ ' preceding and 1 preceding' %}
{%- set one = 'source, entity_type, entity_id' %}
{%- set age_window = 'partition by ' ~ one ~ ', age_weeks order by week_no ' ~ trail %}
{%- set week_window = 'partition by ' ~ one ~ ' order by week_no ' ~ trail %}

with sources as (

    select
        source,
        {{ week_number(dbt.dateadd('day', 1, 'as_of_date')) }} - 1 as last_week
    from {{ ref('int_sources') }}
    where has_returns

),

levels as (

    select levels.z
    from {{ ref('policy_confidence_levels') }} as levels
    inner join {{ ref('policy_parameters') }} as parameters
        on levels.confidence_percent = parameters.value
    where parameters.policy_name = 'label_delay_confidence_percent'

),

returned as (

    select
        return_cells.source,
        return_cells.marketplace,
        {{ week_number('return_cells.ordered_date') }} as sale_week,
        {{ week_number('return_cells.returned_date') }}
        - {{ week_number('return_cells.ordered_date') }} as age_weeks,
        sum(return_cells.return_count) as return_count,
        sum(return_cells.refund_amount) as refund_amount
    from {{ ref('int_return_cells') }} as return_cells
    inner join sources
        on
            return_cells.source = sources.source
            and {{ week_number('return_cells.returned_date') }} <= sources.last_week
    where return_cells.days_to_return between 0 and {{ var('return_window_days') | int }}
    group by
        return_cells.source,
        return_cells.marketplace,
        {{ week_number('return_cells.ordered_date') }},
        {{ week_number('return_cells.returned_date') }}
        - {{ week_number('return_cells.ordered_date') }}

),

-- of each marketplace, and of all
scoped as (

    select
        source,
        'marketplace' as entity_type,
        coalesce(marketplace, 'unknown') as entity_id,
        sale_week,
        age_weeks,
        return_count,
        refund_amount
    from returned

    union all

    select
        source,
        'source' as entity_type,
        source as entity_id,
        sale_week,
        age_weeks,
        return_count,
        refund_amount
    from returned

),

lags as (

    select {{ each_number(0, last + 1) }} as age_weeks

),

cohorts as (

    select distinct
        source,
        entity_type,
        entity_id,
        sale_week
    from scoped

),

-- also the weeks in which nothing came
cells as (

    select
        cohorts.source,
        cohorts.entity_type,
        cohorts.entity_id,
        cohorts.sale_week,
        cohorts.sale_week + lags.age_weeks as week_no,
        lags.age_weeks,
        cast(coalesce(sum(scoped.return_count), 0) as double) as return_count,
        coalesce(sum(scoped.refund_amount), 0) as refund_amount
    from cohorts
    cross join lags
    inner join sources
        on
            cohorts.source = sources.source
            and cohorts.sale_week + lags.age_weeks <= sources.last_week
    left join scoped
        on
            cohorts.source = scoped.source
            and cohorts.entity_type = scoped.entity_type
            and cohorts.entity_id = scoped.entity_id
            and cohorts.sale_week = scoped.sale_week
            and lags.age_weeks = scoped.age_weeks
    group by
        cohorts.source, cohorts.entity_type, cohorts.entity_id, cohorts.sale_week, lags.age_weeks

),

cumulated as (

    select
        *,
        sum(return_count) over (
            partition by source, entity_type, entity_id, sale_week order by age_weeks
            rows between unbounded preceding and current row
        ) - return_count as came_before,
        min(sale_week) over (partition by source, entity_type, entity_id) as first_week
    from cells

),

-- the growth of sales of an age in one week, as in the weeks just before
grown as (

    select
        *,
        sum(return_count) over ({{ age_window }})
        / nullif(sum(came_before) over ({{ age_window }}), 0)
            as growth
    from cumulated

),

-- what would still have to come, times what had come: sales have begun when little enough is left
begun as (

    select
        *,
        sum(ln(1 + coalesce(growth, 0))) over (
            partition by source, entity_type, entity_id, week_no order by age_weeks desc
            rows between unbounded preceding and current row
        ) <= ln(100.0 / {{ policy_value('label_delay_begun_percent') }}) as is_begun
    from grown

),

-- rounded, so that no sum depends on the order of rows
weeks as (

    select
        source,
        entity_type,
        entity_id,
        week_no,
        cast(sum(return_count) as double) as return_count,
        cast(sum(refund_amount) as double) as refund_amount,
        sum(case when is_begun then return_count else 0 end) as came,
        cast(sum({{ exact('case when is_begun then came_before * growth else 0 end') }}) as double)
            as due,
        cast(
            sum({{ exact(
                'case when is_begun then came_before * growth * (1 + growth) else 0 end'
            ) }}) as double
        ) as variance
    from begun
    where
        age_weeks > 0
        and week_no >= first_week + {{ last }} + {{ policy_value('label_alert_min_weeks') }}
    group by source, entity_type, entity_id, week_no

),

-- in standard deviations, as weeks would vary by chance; the difference of roots, since counts
-- scatter farther above what is due than below. And the mean refund of a return, which what is
-- late is worth
squared as (

    select
        *,
        case when due > 0 then 2 * (sqrt(came) - sqrt(due)) / sqrt(variance / due) end as deviate,
        sum(refund_amount) over ({{ week_window }})
        / nullif(sum(return_count) over ({{ week_window }}), 0) as refund_per_return
    from weeks

),

-- how much more than by chance weeks vary: the median of the squares, which a crisis does not move,
-- over that of a normal variable; so it is known as well as from 0.37 as many squares
dispersed as (

    select
        squared.source,
        squared.entity_type,
        squared.entity_id,
        squared.week_no,
        max(squared.came) as came,
        max(squared.due) as due,
        max(squared.refund_per_return) as refund_per_return,
        max(squared.variance) as variance,
        max(squared.deviate) as deviate,
        0.37 * count(*) as freedom,
        greatest(
            1,
            percentile_cont(0.5) within group (order by power(earlier.deviate, 2)) / 0.4549
        ) as dispersion
    from squared
    inner join squared as earlier
        on
            squared.source = earlier.source
            and squared.entity_type = earlier.entity_type
            and squared.entity_id = earlier.entity_id
            and squared.week_no > earlier.week_no
            and earlier.week_no >= squared.week_no - {{ half_year }}
            and earlier.deviate is not null
    where squared.due >= {{ policy_value('label_delay_min_returns') }}
    group by squared.source, squared.entity_type, squared.entity_id, squared.week_no
    having count(*) >= {{ policy_value('label_alert_min_weeks') }}

),

-- a distance from a spread that is estimated itself follows Student's t; as the normal deviate that
-- is as unlikely (Wallace 1959)
judged as (

    select
        dispersed.*,
        abs(dispersed.came / dispersed.due - 1) as distance,
        sqrt(dispersed.variance * dispersed.dispersion) / dispersed.due as ratio_error,
        (8 * dispersed.freedom + 1) / (8 * dispersed.freedom + 3)
        * sqrt(
            dispersed.freedom
            * ln(1 + power(dispersed.deviate, 2) / dispersed.dispersion / dispersed.freedom)
        ) as z_score,
        {{ policy_value('label_delay_change_percent') }} as change_percent,
        levels.z
    from dispersed
    inner join sources
        on dispersed.source = sources.source
    cross join levels
    where
        dispersed.week_no
        >= {{ policy_value('alert_replay_weeks') }} * (
            floor(sources.last_week / {{ policy_value('alert_replay_weeks') }}) - 1
        )

),

final as (

    select
        source,
        'labels' as monitor,
        entity_type,
        entity_id,
        'pace of returns' as metric,
        cast(7 as bigint) as window_days,
        week_no,
        week_no as end_week,
        cast(null as bigint) as lines,
        came as observed,
        due as expected,
        1 + distance as effect,
        1 + greatest(0, distance - 1.96 * ratio_error) as effect_lo,
        least(1, 2 * {{ normal_tail('z_score') }}) as p_value,
        100 * distance > change_percent and z_score > z as is_large_enough,
        200 * distance <= change_percent as is_small,
        came - due as excess_returns,
        {{ money('abs(came - due) * refund_per_return') }} as money_at_risk,
        cast(null as string) as compared_with,
        concat(
            case entity_type
                when 'source' then 'Returns of all sales'
                else concat('Returns of marketplace ', entity_id)
            end,
            case
                when came < due then ' come more slowly than in the half year before'
                else ' come later after the sale than in the half year before'
            end,
            ': in the week up to ', {{ period_text(week_end('week_no'), week_end('week_no')) }},
            ' ', {{ whole_number_text('came') }}, ' followed on those already in, where ',
            {{ whole_number_text('due') }}, ' would have at that pace. ',
            case
                when came < due then 'Do not read this as fewer returns; ask who books them.'
                else 'What was late arrives now: rates of the last weeks were too low.'
            end
        ) as sentence
    from judged

)

select * from final
