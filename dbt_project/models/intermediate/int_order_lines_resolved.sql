{{ config(materialized='view') }}

-- The final word on every order line: repeated deliveries told apart, the calendar applied, and
-- what the line sold as of the as-of date.

with screened as (

    select * from {{ ref('int_order_lines_screened') }}

),

repeated_rows as (

    select * from {{ ref('int_order_lines_repeated') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

joined as (

    select
        screened.*,
        sources.as_of_date,
        sources.has_returns,
        coalesce(repeated_rows.occurrence, 1) as occurrence,
        coalesce(repeated_rows.is_repeat, false) as is_repeat,
        coalesce(repeated_rows.is_conflict, false) as is_conflict,
        {{ outside_history('screened.ordered_at') }} as is_implausible,
        cast(screened.ordered_at as date) > sources.as_of_date as is_later,
        case
            when
                screened.return_status = 'cancelled'
                or cast(screened.cancelled_at as date) <= sources.as_of_date
                then 'cancelled'
            when screened.return_status = 'undelivered' then 'undelivered'
            else 'sold'
        end as sale_status
    from screened
    left join repeated_rows
        on
            screened.source = repeated_rows.source
            and screened.file = repeated_rows.file
            and screened.row_number = repeated_rows.row_number
    left join sources
        on screened.source = sources.source

),

final as (

    select
        source,
        file,
        row_number,
        {{ final_disposition('order_line', 'ordered_at') }},
        case
            when has_id then row_key else row_key || '-' || cast(occurrence as string)
        end as order_line_id,
        {%- for column in order_line_columns() if column not in (
            'quantity', 'delivered_at', 'cancelled_at'
        ) %}
        {{ column }},
        {%- endfor %}
        currency,
        original_amount,
        sale_status,
        quantity as ordered_quantity,
        case when sale_status = 'sold' then quantity else 0 end as quantity,
        case
            when sale_status = 'sold' then ordered_amount else cast(0 as decimal(18, 4))
        end as net_amount,
        case when cast(delivered_at as date) <= as_of_date then delivered_at end as delivered_at,
        case when cast(cancelled_at as date) <= as_of_date then cancelled_at end as cancelled_at,
        has_returns,
        as_of_date
    from joined

)

select * from final
