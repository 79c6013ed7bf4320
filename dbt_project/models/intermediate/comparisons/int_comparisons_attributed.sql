-- The effects as one row per driver and member, and one row per comparison, measure and dimension
-- with the totals and what the drivers leave unexplained (driver residual).

{%- set drivers_of = {
    'amount': ['volume', 'mix', 'rate', 'timing'],
    'rate': ['mix', 'rate', 'timing'],
} %}
{%- set sums = [
    'sales_amount', 'exposure_amount', 'lines_without_maturity', 'returned_amount',
    'earlier_amount', 'later_amount',
] %}

with comparisons as (

    select * from {{ ref('int_comparisons_dated') }} where is_covered and has_returns

),

members as (

    select * from {{ ref('int_comparisons_decomposed') }}

),

drivers as (

    {%- for measure, drivers in drivers_of.items() %}
    {%- set is_last = loop.last %}
    {%- for driver in drivers %}

    select
        '{{ measure }}' as measure,
        '{{ driver }}' as driver
    {%- if not (is_last and loop.last) %}

    union all
    {%- endif %}
    {%- endfor %}
    {%- endfor %}

),

contributions as (

    select
        members.source,
        members.comparison,
        members.current_end,
        drivers.measure,
        members.dimension,
        drivers.driver,
        members.member,
        {%- for side in ['base', 'current'] %}
        {%- for fact in sums + ['share', 'rate', 'average_rate'] %}
        members.{{ side }}_{{ fact }},
        {%- endfor %}
        {%- endfor %}
        {%- for rate in ['mix_rate', 'mix_average_rate'] %}
        case drivers.measure
            when 'amount' then members.amount_{{ rate }}
            else members.rate_{{ rate }}
        end as {{ rate }},
        {%- endfor %}
        case drivers.measure
            {%- for measure, drivers in drivers_of.items() %}
            when '{{ measure }}'
                then
                case drivers.driver
                    {%- for driver in drivers %}
                    when '{{ driver }}' then members.{{ measure }}_{{ driver }}
                    {%- endfor %}
                end
            {%- endfor %}
        end as contribution
    from members
    cross join drivers

),

-- every measure has one row per member with the driver timing
totals as (

    select
        source,
        comparison,
        current_end,
        measure,
        dimension,
        {%- for side in ['base', 'current'] %}
        {%- for sum in sums %}
        sum(case when driver = 'timing' then {{ side }}_{{ sum }} else 0 end)
            as {{ side }}_{{ sum }},
        {%- endfor %}
        max({{ side }}_average_rate) as {{ side }}_average_rate,
        {%- endfor %}
        {%- for driver in drivers_of['amount'] %}
        sum(case when driver = '{{ driver }}' then contribution else 0 end)
            as {{ driver }}_contribution,
        {%- endfor %}
        sum(contribution) as contribution,
        count(distinct member) as member_count
    from contributions
    group by source, comparison, current_end, measure, dimension

),

valued as (

    select
        totals.*,
        comparisons.current_start,
        comparisons.base_start,
        comparisons.base_end,
        comparisons.is_latest,
        comparisons.current_period,
        comparisons.base_period,
        {%- for side in ['base', 'current'] %}
        {%- set amount = 'comparisons.' ~ side ~ '_returned_amount' %}
        case totals.measure
            when 'amount' then cast({{ amount }} as decimal(28, 10))
            else
                cast(
                    {{ amount }} / cast(comparisons.{{ side }}_sales_amount as double)
                    as decimal(28, 10)
                )
        end as {{ side }}_value,
        {%- endfor %}
        comparisons.as_of_date
    from totals
    inner join comparisons
        on
            totals.source = comparisons.source
            and totals.comparison = comparisons.comparison
            and totals.current_end = comparisons.current_end

),

all_drivers as (

    select
        source,
        comparison,
        current_end,
        measure,
        dimension,
        driver,
        member,
        contribution,
        {%- for side in ['base', 'current'] %}
        {%- for fact in sums + ['share', 'rate'] %}
        {{ side }}_{{ fact }},
        {%- endfor %}
        {%- endfor %}
        mix_rate,
        mix_average_rate
    from contributions

    union all

    select
        source,
        comparison,
        current_end,
        measure,
        dimension,
        'residual' as driver,
        'all' as member,
        current_value - base_value - contribution as contribution,
        {%- for side in ['base', 'current'] %}
        {%- for sum in sums %}
        {{ side }}_{{ sum }},
        {%- endfor %}
        1 as {{ side }}_share,
        {{ side }}_average_rate as {{ side }}_rate,
        {%- endfor %}
        cast(null as double) as mix_rate,
        cast(null as double) as mix_average_rate
    from valued

),

final as (

    select
        all_drivers.*,
        valued.current_start,
        valued.base_start,
        valued.base_end,
        valued.is_latest,
        valued.current_period,
        valued.base_period,
        valued.base_value,
        valued.current_value,
        valued.current_value - valued.base_value as total_change,
        {%- for side in ['base', 'current'] %}
        valued.{{ side }}_sales_amount as {{ side }}_total_sales_amount,
        {%- endfor %}
        {%- for driver in drivers_of['amount'] %}
        valued.{{ driver }}_contribution,
        {%- endfor %}
        valued.member_count,
        valued.as_of_date
    from all_drivers
    inner join valued
        on
            all_drivers.source = valued.source
            and all_drivers.comparison = valued.comparison
            and all_drivers.current_end = valued.current_end
            and all_drivers.measure = valued.measure
            and all_drivers.dimension = valued.dimension

)

select * from final
