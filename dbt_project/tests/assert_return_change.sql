-- return_change: every comparison is explained completely, and by the numbers of kpis_daily

with change as (

    select * from {{ ref('return_change') }}

),

kpis as (

    select * from {{ ref('kpis_daily') }}

),

comparisons as (

    select * from {{ ref('policy_comparisons') }}

),

rates as (

    select * from {{ ref('return_rates') }}
    where period_grain = 'month' and basis = 'sale' and unit = 'value'

),

covered as (

    select * from {{ ref('int_comparisons_dated') }} where is_covered and has_returns

),

decompositions as (

    select
        source,
        comparison,
        current_start,
        current_end,
        base_start,
        base_end,
        measure,
        dimension,
        max(base_value) as base_value,
        max(current_value) as current_value,
        max(total_change) as total_change,
        sum(contribution) as contribution,
        sum(case when driver = 'residual' then contribution else 0 end) as residual,
        sum(case when driver = 'timing' then base_sales_amount else 0 end) as base_sales_amount,
        sum(case when driver = 'timing' then current_sales_amount else 0 end)
            as current_sales_amount
    from change
    group by
        source,
        comparison,
        current_start,
        current_end,
        base_start,
        base_end,
        measure,
        dimension

),

incomplete as (

    select
        'the contributions of a dimension add up to the change' as claim,
        source,
        concat_ws(' ', comparison, cast(current_end as string), measure, dimension) as example
    from decompositions
    where contribution <> total_change or abs(residual) >= 0.000000001

),

period_sums as (

    select
        decompositions.source,
        decompositions.comparison,
        decompositions.current_end,
        decompositions.measure,
        decompositions.dimension,
        {%- for side in ['base', 'current'] %}
        {%- set is_inside = 'kpis.day between decompositions.' ~ side
            ~ '_start and decompositions.' ~ side ~ '_end' %}
        max(decompositions.{{ side }}_value) as {{ side }}_value,
        max(decompositions.{{ side }}_sales_amount) as {{ side }}_sales_amount,
        sum(case when {{ is_inside }} then kpis.gross_revenue else 0 end)
            as {{ side }}_gross_revenue,
        sum(case when {{ is_inside }} then kpis.refund_amount_by_event_date else 0 end)
            as {{ side }}_refund_amount,
        {%- endfor %}
        count(*) as day_count
    from decompositions
    inner join kpis
        on decompositions.source = kpis.source
    group by
        decompositions.source,
        decompositions.comparison,
        decompositions.current_end,
        decompositions.measure,
        decompositions.dimension

),

expected as (

    select
        *,
        cast(base_refund_amount as double) / base_gross_revenue as base_rate,
        cast(current_refund_amount as double) / current_gross_revenue as current_rate
    from period_sums

),

unequal_to_kpis as (

    select
        'sales and returns of a period are those of its days in kpis_daily' as claim,
        source,
        concat_ws(' ', comparison, cast(current_end as string), measure, dimension) as example
    from expected
    where
        false
        {%- for side in ['base', 'current'] %}
        or {{ side }}_sales_amount <> {{ side }}_gross_revenue
        or (measure = 'amount' and {{ side }}_value <> {{ side }}_refund_amount)
        or (measure = 'rate' and abs({{ side }}_value - {{ side }}_rate) > 0.000000001)
        {%- endfor %}

),

-- only a whole month is a period of return_rates, which rounds every line to six decimals
unequal_to_return_rates as (

    select
        'final rates of months are those of return_rates' as claim,
        change.source,
        concat_ws(' ', cast(change.current_start as string), change.dimension, change.member)
            as example
    from change
    inner join rates
        on
            change.source = rates.source
            and change.dimension = rates.entity_type
            and change.member = rates.entity_id
            and change.current_start = rates.period_start
    where
        change.driver = 'timing'
        and change.current_sales_amount > 0
        and {{ dbt.dateadd('day', 1, 'change.current_end') }}
        = {{ dbt.dateadd('month', 1, 'change.current_start') }}
        and abs(change.current_rate - rates.projected_rate) > 0.000001

),

missing as (

    select
        'a comparison that the history covers has every measure and dimension' as claim,
        covered.source,
        concat_ws(' ', covered.comparison, cast(covered.current_end as string)) as example
    from covered
    left join decompositions
        on
            covered.source = decompositions.source
            and covered.comparison = decompositions.comparison
            and covered.current_end = decompositions.current_end
    group by covered.source, covered.comparison, covered.current_end
    having count(decompositions.source) <> 8

),

undecided as (

    select
        'a row of policy_comparisons has either a grain or four dates' as claim,
        source,
        comparison as example
    from comparisons
    where
        not coalesce(
            period_grain in ('month', 'week')
            and period_count > 0 and base_shift > 0 and replays > 0
            and coalesce(current_start, current_end, base_start, base_end) is null,
            false
        )
        and not coalesce(
            coalesce(period_count, base_shift, replays) is null and period_grain is null
            and current_start <= current_end and base_start <= base_end,
            false
        )

)

select * from incomplete
union all
select * from unequal_to_kpis
union all
select * from unequal_to_return_rates
union all
select * from missing
union all
select * from undecided
