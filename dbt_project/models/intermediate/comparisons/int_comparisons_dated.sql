-- The comparisons of policy_comparisons with their dates and totals, and whether the history of the
-- source covers both periods.

with comparisons as (

    select * from {{ ref('policy_comparisons') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

kpis as (

    select * from {{ ref('int_kpis_by_day_and_country') }}

),

-- whole months or weeks end at the latest on the as-of date
asked as (

    select
        sources.source,
        sources.has_returns,
        sources.first_event_date,
        sources.as_of_date,
        comparisons.comparison,
        comparisons.period_grain,
        comparisons.period_count,
        comparisons.base_shift,
        comparisons.current_start,
        comparisons.current_end,
        comparisons.base_start,
        comparisons.base_end,
        case comparisons.period_grain
            when 'month' then {{ month_start(dbt.dateadd('day', 1, 'sources.as_of_date')) }}
            when 'week' then {{ week_start(dbt.dateadd('day', 1, 'sources.as_of_date')) }}
        end as complete_until,
        {{ each_number(0, 'coalesce(comparisons.replays, 1)') }} as periods_ago
    from sources
    inner join comparisons
        on
            comparisons.source = '*'
            or sources.source = comparisons.source

),

{%- set grains = {
    'current_start': '-(periods_ago + period_count)',
    'current_end': '-periods_ago',
    'base_start': '-(periods_ago + base_shift + period_count)',
    'base_end': '-(periods_ago + base_shift)',
} %}

dated as (

    select
        source,
        has_returns,
        first_event_date,
        as_of_date,
        comparison,
        {%- for bound, number in grains.items() %}
        {%- set day = grains_later('period_grain', number, 'complete_until') %}
        cast(
            coalesce(
                {{ bound }},
                {{ dbt.dateadd('day', -1, day) if bound.endswith('end') else day }}
            ) as date
        ) as {{ bound }},
        {%- endfor %}
        periods_ago = 0 as is_latest
    from asked

),

daily as (

    select
        source,
        day,
        sum(gross_revenue) as sales_amount,
        sum(refund_amount_by_event_date) as returned_amount
    from kpis
    group by source, day

),

totals as (

    select
        dated.source,
        dated.comparison,
        {%- for period in ['current', 'base'] %}
        {%- for amount in ['sales_amount', 'returned_amount'] %}
        sum(
            case
                when daily.day between dated.{{ period }}_start and dated.{{ period }}_end
                    then daily.{{ amount }}
                else 0
            end
        ) as {{ period }}_{{ amount }},
        {%- endfor %}
        {%- endfor %}
        dated.current_end
    from dated
    inner join daily
        on dated.source = daily.source
    group by dated.source, dated.comparison, dated.current_end

),

final as (

    select
        dated.source,
        dated.comparison,
        dated.current_start,
        dated.current_end,
        dated.base_start,
        dated.base_end,
        dated.is_latest,
        {%- for period in ['current', 'base'] %}
        {{ period_text('dated.' ~ period ~ '_start', 'dated.' ~ period ~ '_end') }}
            as {{ period }}_period,
        {%- endfor %}
        {%- for amount in ['sales_amount', 'returned_amount'] %}
        cast(totals.current_{{ amount }} as decimal(18, 4)) as current_{{ amount }},
        cast(totals.base_{{ amount }} as decimal(18, 4)) as base_{{ amount }},
        {%- endfor %}
        dated.has_returns,
        coalesce(
            least(dated.current_start, dated.base_start) >= dated.first_event_date
            and greatest(dated.current_end, dated.base_end) <= dated.as_of_date
            and dated.current_start <= dated.current_end
            and dated.base_start <= dated.base_end
            and totals.current_sales_amount > 0
            and totals.base_sales_amount > 0,
            false
        ) as is_covered,
        dated.as_of_date
    from dated
    left join totals
        on
            dated.source = totals.source
            and dated.comparison = totals.comparison
            and dated.current_end = totals.current_end

)

select * from final
