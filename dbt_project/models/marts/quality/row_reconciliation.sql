with load_files as (

    select * from {{ source('landing', 'load_files') }} where status in ('loaded', 'duplicate')

),

counted as (

    select * from {{ ref('int_rows_counted') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

pivoted as (

    select
        source,
        file,
        {%- for fate in ['order_line', 'return', 'entity', 'excluded', 'rejected'] %}
        sum(case when fate = '{{ fate }}' then row_count else 0 end) as {{ fate }}_rows,
        {%- endfor %}
        {%- for fate in ['read', 'order_line', 'return', 'excluded'] %}
        sum(case when fate = '{{ fate }}' then amount else 0 end) as {{ fate }}_amount,
        {%- endfor %}
        sum(case when fate = 'rejected' then amount else 0 end) as rejected_amount
    from counted
    group by source, file

),

joined as (

    select
        load_files.source,
        load_files.file,
        load_files.rows_read,
        {%- for column in [
            'order_line_rows', 'return_rows', 'entity_rows', 'excluded_rows', 'rejected_rows',
            'read_amount', 'order_line_amount', 'return_amount', 'excluded_amount',
            'rejected_amount',
        ] %}
        coalesce(pivoted.{{ column }}, 0) as {{ column }},
        {%- endfor %}
        sources.as_of_date
    from load_files
    left join pivoted
        on
            load_files.source = pivoted.source
            and load_files.file = pivoted.file
    left join sources
        on load_files.source = sources.source

),

final as (

    select
        source,
        file,
        cast(rows_read as bigint) as rows_read,
        cast(order_line_rows as bigint) as order_line_rows,
        cast(return_rows as bigint) as return_rows,
        cast(entity_rows as bigint) as entity_rows,
        cast(excluded_rows as bigint) as excluded_rows,
        cast(rejected_rows as bigint) as rejected_rows,
        cast(
            rows_read - order_line_rows - return_rows - entity_rows - excluded_rows - rejected_rows
            as bigint
        ) as rows_difference,
        cast(read_amount as decimal(18, 4)) as amount_read,
        cast(order_line_amount as decimal(18, 4)) as order_line_amount,
        cast(return_amount as decimal(18, 4)) as return_amount,
        cast(excluded_amount as decimal(18, 4)) as excluded_amount,
        cast(rejected_amount as decimal(18, 4)) as rejected_amount,
        cast(
            read_amount - order_line_amount - return_amount - excluded_amount - rejected_amount
            as decimal(18, 4)
        ) as amount_difference,
        as_of_date
    from joined

)

select * from final
