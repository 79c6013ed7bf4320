{%- set sums = ['lines', 'comparable_lines', 'observed', 'exposure', 'expected'] -%}

with lines as (

    select * from {{ ref('int_risk_lines') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

confidence_levels as (

    select levels.z
    from {{ ref('policy_confidence_levels') }} as levels
    inner join {{ ref('policy_parameters') }} as parameters
        on levels.confidence_percent = parameters.value
    where parameters.policy_name = 'risk_interval_confidence_percent'

),

-- what is usual in a category, in all the days that are looked at
usual_rates as (

    select
        source,
        category,
        cast(
            sum(returned_lines) / nullif(cast(sum(maturity) as double), 0) as decimal(9, 6)
        ) as usual_rate
    from lines
    group by source, category

),

recent_lines as (

    select
        lines.source,
        lines.ordered_date,
        {{ days_between('lines.ordered_date', 'sources.as_of_date') }}
        < {{ policy_value('risk_trend_days') }} as is_shown_by_day,
        'all' as all_entities,
        lines.marketplace,
        lines.category,
        lines.seller_id,
        lines.comparable_lines,
        lines.returned_lines,
        lines.maturity,
        lines.maturity * usual_rates.usual_rate as expected
    from lines
    inner join sources
        on lines.source = sources.source
    left join usual_rates
        on
            lines.source = usual_rates.source
            and lines.category = usual_rates.category
    where
        lines.ordered_date >= {{ dbt.dateadd(
            'day',
            '-7 * (' ~ policy_value('risk_trend_weeks') ~ ' - 1)',
            week_start('sources.as_of_date')
        ) }}

),

{%- for members, columns in {
    'seller_days': ['seller_id'], 'other_days': ['all_entities', 'marketplace', 'category'],
}.items() %}

{{ members }} as (

    select
        source,
        ordered_date,
        is_shown_by_day,
        {{ columns | join(', ') }},
        count(*) as lines,
        sum(comparable_lines) as comparable_lines,
        sum(returned_lines) as observed,
        sum(maturity) as exposure,
        sum(expected) as expected
    from recent_lines
    group by source, ordered_date, is_shown_by_day, {{ columns | join(', ') }}

),
{%- endfor %}

periods as (

    {%- for entity_type, entity_id in [
        ('all', 'all_entities'), ('marketplace', 'marketplace'), ('category', 'category'),
        ('seller', 'seller_id'),
    ] %}
    {%- for grain, start, chosen in [
        ('day', 'ordered_date', 'is_shown_by_day'),
        ('week', week_start('ordered_date'), entity_id ~ ' is not null'),
    ] %}

    select
        source,
        '{{ entity_type }}' as entity_type,
        {{ entity_id }} as entity_id,
        '{{ grain }}' as period_grain,
        {{ start }} as period_start,
        {%- for column in sums %}
        sum({{ column }}) as {{ column }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from {{ 'seller_days' if entity_type == 'seller' else 'other_days' }}
    where {{ chosen }} and {{ entity_id }} is not null
    group by source, {{ entity_id }}, {{ start }}
    {%- if not (loop.last and entity_type == 'seller') %}

    union all
    {%- endif %}
    {%- endfor %}
    {%- endfor %}

),

measured as (

    select
        source,
        entity_type,
        entity_id,
        period_grain,
        period_start,
        lines,
        comparable_lines,
        observed,
        cast(exposure as double) as exposure,
        cast(coalesce(expected, 0) as double) as expected
    from periods

),

-- Byar's approximation of the exact Poisson interval
final as (

    select
        measured.source,
        measured.entity_type,
        measured.entity_id,
        measured.period_grain,
        measured.period_start,
        {{ days_between(
            "case when measured.period_grain = 'day' then measured.period_start else "
            ~ dbt.dateadd('day', 6, 'measured.period_start') ~ " end",
            'sources.as_of_date'
        ) }} >= 0 as is_complete,
        cast(measured.lines as bigint) as lines,
        cast(measured.comparable_lines as bigint) as compared_lines,
        cast(measured.observed as bigint) as observed,
        round(measured.expected, 6) as expected,
        round(measured.exposure, 6) as effective_exposure,
        case
            when measured.comparable_lines > 0
                then round(cast(measured.observed as double) / measured.comparable_lines, 9)
        end as observed_rate,
        case
            when measured.exposure > 0
                then
                round(
                    least(
                        1,
                        (
                            measured.observed + {{ policy_value('risk_factor_prior_lines') }}
                            * measured.expected / measured.exposure
                        )
                        / (measured.exposure + {{ policy_value('risk_factor_prior_lines') }})
                    ),
                    9
                )
        end as adjusted_rate,
        case when measured.expected > 0 then round(measured.observed / measured.expected, 9) end
            as o_e_ratio,
        case
            when measured.expected > 0
                then
                round(
                    case
                        when measured.observed = 0 then 0
                        else
                            measured.observed * power(
                                greatest(
                                    0,
                                    1 - 1 / (9 * cast(measured.observed as double))
                                    - confidence_levels.z
                                    / (3 * sqrt(cast(measured.observed as double)))
                                ),
                                3
                            )
                    end / measured.expected,
                    9
                )
        end as lo,
        case
            when measured.expected > 0
                then
                round(
                    (measured.observed + 1) * power(
                        1 - 1 / (9 * cast(measured.observed + 1 as double))
                        + confidence_levels.z
                        / (3 * sqrt(cast(measured.observed + 1 as double))),
                        3
                    ) / measured.expected,
                    9
                )
        end as hi,
        sources.as_of_date
    from measured
    inner join sources
        on measured.source = sources.source
    cross join confidence_levels

)

select * from final
