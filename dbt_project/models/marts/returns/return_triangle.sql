with aged as (

    select * from {{ ref('int_returns_aged') }}

),

-- where nothing says what came back, there is no triangle, rather than one of zeros
sources as (

    select * from {{ ref('int_sources') }} where has_returns

),

last_age as (

    select {{ policy_value('triangle_weeks') }} as last_age_week

),

ages as (

    select {{ each_number(0, 'last_age_week + 1') }} as age_week
    from last_age

),

sold as (

    select
        source,
        entity_type,
        entity_id,
        sale_month,
        sum(sold_lines) as sold_lines,
        sum(sold_units) as sold_units,
        sum(sold_amount) as sold_amount
    from aged
    group by source, entity_type, entity_id, sale_month

),

-- where all returns are undated, nobody knows what came back at which age
undated_sources as (

    select source
    from aged
    group by source
    having
        sum(returned_units) > 0
        and sum(case when age_week >= 0 then returned_units else 0 end) = 0

),

months as (

    select
        aged.source,
        aged.sale_month,
        sources.reporting_currency,
        sources.as_of_date,
        {{ days_between('min(aged.first_sale_date)', 'sources.as_of_date') }} as oldest_age_days,
        {{ days_between(
            dbt.dateadd('day', -1, dbt.dateadd('month', 1, 'aged.sale_month')),
            'sources.as_of_date'
        ) }} as youngest_age_days
    from aged
    inner join sources
        on aged.source = sources.source
    group by aged.source, aged.sale_month, sources.reporting_currency, sources.as_of_date

),

-- an age that no sale of the month has reached is no cell, rather than one of zeros
cells as (

    select
        months.source,
        months.sale_month,
        ages.age_week,
        months.reporting_currency,
        months.as_of_date,
        false as is_undated,
        ages.age_week < last_age.last_age_week
        and months.youngest_age_days >= 7 * ages.age_week + 6 as is_complete
    from months
    cross join ages
    cross join last_age
    left join undated_sources
        on months.source = undated_sources.source
    where
        undated_sources.source is null
        and months.oldest_age_days >= 7 * ages.age_week

    union all

    select
        months.source,
        months.sale_month,
        -1 as age_week,
        months.reporting_currency,
        months.as_of_date,
        undated_sources.source is not null as is_undated,
        false as is_complete
    from months
    left join undated_sources
        on months.source = undated_sources.source

),

filled as (

    select
        sold.source,
        sold.entity_type,
        sold.entity_id,
        sold.sale_month,
        cells.age_week,
        cells.reporting_currency,
        cells.is_undated,
        cells.is_complete,
        cells.as_of_date,
        sold.sold_lines,
        sold.sold_units,
        sold.sold_amount,
        {%- for measure in ['returned_lines', 'returned_units', 'refund_amount'] %}
        coalesce(aged.{{ measure }}, 0) as {{ measure }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from sold
    inner join cells
        on
            sold.source = cells.source
            and sold.sale_month = cells.sale_month
    left join aged
        on
            sold.source = aged.source
            and sold.entity_type = aged.entity_type
            and sold.entity_id = aged.entity_id
            and sold.sale_month = aged.sale_month
            and cells.age_week = aged.age_week

),

cumulated as (

    select
        *,
        {%- for measure in ['returned_lines', 'returned_units', 'refund_amount'] %}
        case
            when age_week >= 0
                then sum(case when age_week >= 0 then {{ measure }} else 0 end) over (
                    partition by source, entity_type, entity_id, sale_month
                    order by age_week
                    rows between unbounded preceding and current row
                )
        end as cumulative_{{ measure }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from filled

),

final as (

    select
        source,
        entity_type,
        entity_id,
        sale_month,
        cast(age_week as bigint) as age_week,
        reporting_currency as currency,
        cast(sold_lines as bigint) as sold_lines,
        cast(sold_units as bigint) as sold_units,
        cast(sold_amount as decimal(18, 4)) as sold_amount,
        cast(returned_lines as bigint) as returned_lines,
        cast(returned_units as bigint) as returned_units,
        cast(refund_amount as decimal(18, 4)) as refund_amount,
        cast(cumulative_returned_lines as bigint) as cumulative_returned_lines,
        cast(cumulative_returned_units as bigint) as cumulative_returned_units,
        cast(cumulative_refund_amount as decimal(18, 4)) as cumulative_refund_amount,
        cast(cumulative_returned_lines as double) / sold_lines as cumulative_line_rate,
        cast(cumulative_returned_units as double) / sold_units as cumulative_unit_rate,
        cast(cumulative_refund_amount as double) / nullif(cast(sold_amount as double), 0)
            as cumulative_value_rate,
        is_complete,
        as_of_date
    from cumulated
    -- undated returns have a row only where there are some, or nothing else is known
    where age_week >= 0 or returned_units > 0 or is_undated

)

select * from final
