-- How much more returned lines, units and money vary than independent lines would: per replayed
-- day, from the sales that were mature then (their returns as known today: it concerns the width of
-- intervals only). Lines of one order come back together, lines of
-- several units come back in part; the factor covers both.

with order_lines as (

    select * from {{ ref('order_lines') }} where is_sale

),

as_of_dates as (

    select * from {{ ref('int_as_of_dates') }}

),

-- the part of an order in one category is what varies as one
order_parts as (

    select
        source,
        category,
        {{ month_start('ordered_date') }} as sale_month,
        order_id,
        count(*) as lines_sold,
        count(*) as lines_squared,
        sum(case when returned_quantity > 0 then 1 else 0 end) as lines_returned,
        sum(quantity) as units_sold,
        sum({{ crossed('quantity', 'quantity') }}) as units_squared,
        sum(returned_quantity) as units_returned,
        cast(sum(net_amount) as decimal(18, 2)) as value_sold,
        sum({{ crossed('net_amount', 'net_amount') }}) as value_squared,
        cast(sum(refund_amount) as decimal(18, 2)) as value_returned
    from order_lines
    group by source, category, {{ month_start('ordered_date') }}, order_id

),

months as (

    select
        source,
        category,
        {%- for unit in ['lines', 'units', 'value'] %}
        sum({{ unit }}_sold) as {{ unit }}_sold,
        sum({{ unit }}_returned) as {{ unit }}_returned,
        sum({{ unit }}_squared) as {{ unit }}_squared,
        sum({{ crossed(unit ~ '_returned', unit ~ '_returned') }}) as {{ unit }}_returned_squared,
        sum({{ crossed(unit ~ '_sold', unit ~ '_sold') }}) as {{ unit }}_sold_squared,
        sum({{ crossed(unit ~ '_returned', unit ~ '_sold') }}) as {{ unit }}_crossed,
        {%- endfor %}
        sale_month
    from order_parts
    group by source, category, sale_month

),

replayed as (

    select
        months.source,
        as_of_dates.as_of_date,
        {%- for unit in ['lines', 'units', 'value'] %}
        {%- for sum in [
            'sold', 'returned', 'squared', 'returned_squared', 'sold_squared', 'crossed'
        ] %}
        cast(sum(months.{{ unit }}_{{ sum }}) as double) as {{ unit }}_{{ sum }},
        {%- endfor %}
        {%- endfor %}
        months.category
    from months
    inner join as_of_dates
        on
            months.source = as_of_dates.source
            and {{ days_between(
                dbt.dateadd('month', 1, 'months.sale_month'), 'as_of_dates.as_of_date'
            ) }} >= {{ var('return_window_days') | int }}
    group by months.source, as_of_dates.as_of_date, months.category

),

units as (

    {%- for unit in ['lines', 'units', 'value'] %}

    select
        source,
        as_of_date,
        '{{ unit }}' as unit,
        category,
        {{ unit }}_returned / nullif({{ unit }}_sold, 0) as rate,
        {{ unit }}_squared as squared,
        {{ unit }}_returned_squared as returned_squared,
        {{ unit }}_sold_squared as sold_squared,
        {{ unit }}_crossed as crossed
    from replayed
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

sums as (

    select
        source,
        as_of_date,
        unit,
        round(
            sum(returned_squared - 2 * rate * crossed + rate * rate * sold_squared)
            / nullif(sum(rate * (1 - rate) * squared), 0),
            6
        ) as dispersion
    from units
    group by source, as_of_date, unit

),

unit_names as (

    select 'lines' as unit
    union all
    select 'units' as unit
    union all
    select 'value' as unit

),

-- with nothing mature yet lines are taken as independent
final as (

    select
        as_of_dates.source,
        as_of_dates.as_of_date,
        as_of_dates.is_current,
        unit_names.unit,
        coalesce(sums.dispersion, 1) as dispersion
    from as_of_dates
    cross join unit_names
    left join sums
        on
            as_of_dates.source = sums.source
            and as_of_dates.as_of_date = sums.as_of_date
            and unit_names.unit = sums.unit

)

select * from final
