-- Every calendar day and source from the first event to the as-of date.

with sources as (

    select * from {{ ref('int_sources') }} where as_of_date is not null

),

digits as (

    {% for digit in range(10) -%}
    select {{ digit }} as digit
    {%- if not loop.last %}
    union all
    {% endif -%}
    {% endfor %}

),

-- 100,000 days: as much history as any shop has
numbers as (

    select
        ones.digit
        + 10 * tens.digit
        + 100 * hundreds.digit
        + 1000 * thousands.digit
        + 10000 * ten_thousands.digit as number
    from digits as ones
    cross join digits as tens
    cross join digits as hundreds
    cross join digits as thousands
    cross join digits as ten_thousands

),

final as (

    select
        sources.source,
        cast({{ dbt.dateadd('day', 'numbers.number', 'sources.first_event_date') }} as date) as day,
        sources.as_of_date
    from sources
    inner join numbers
        on numbers.number <= {{ days_between('sources.first_event_date', 'sources.as_of_date') }}

)

select * from final
