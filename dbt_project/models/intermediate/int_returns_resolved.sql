-- The screened returns after repeated deliveries are told apart, and the returns that only the
-- status of an order line tells of.

with screened as (

    select * from {{ ref('int_returns_screened') }}

),

repeated_rows as (

    select * from {{ ref('int_returns_repeated') }}

),

order_lines as (

    select * from {{ ref('int_order_lines_resolved') }}
    where
        disposition = 'order_line'
        and return_status = 'returned'
        and sale_status = 'sold'

),

sources as (

    select * from {{ ref('int_sources') }}

),

joined as (

    select
        screened.*,
        coalesce(repeated_rows.occurrence, 1) as occurrence,
        coalesce(repeated_rows.is_repeat, false) as is_repeat,
        coalesce(repeated_rows.is_conflict, false) as is_conflict,
        {{ outside_history('screened.returned_at') }} as is_implausible,
        coalesce(cast(screened.returned_at as date) > sources.as_of_date, false) as is_later
    from screened
    left join repeated_rows
        on
            screened.source = repeated_rows.source
            and screened.file = repeated_rows.file
            and screened.row_number = repeated_rows.row_number
    left join sources
        on screened.source = sources.source

),

events as (

    select
        source,
        file,
        row_number,
        {{ final_disposition('return', 'returned_at') }},
        case
            when has_id then row_key else row_key || '-' || cast(occurrence as string)
        end as return_id,
        {%- for column in return_columns() %}
        {{ column }},
        {%- endfor %}
        false as is_from_status
    from joined

),

-- a line whose status says "returned" came back whole, on a day nobody wrote down
status_events as (

    select
        order_lines.source,
        order_lines.file,
        order_lines.row_number,
        'return' as disposition,
        cast(null as string) as excluded_by,
        cast(null as string) as reject_reasons,
        'status-' || order_lines.order_line_id as return_id,
        order_lines.order_line_id,
        order_lines.order_id,
        order_lines.product_id,
        order_lines.customer_id,
        order_lines.country,
        cast(null as string) as reason,
        cast(null as string) as condition,
        cast(null as timestamp) as returned_at,
        order_lines.quantity,
        order_lines.original_currency as currency,
        order_lines.fx_rate,
        cast(null as decimal(18, 4)) as refund_amount,
        cast(0 as decimal(18, 4)) as original_amount,
        true as is_from_status
    from order_lines
    left join events
        on
            order_lines.source = events.source
            and order_lines.order_line_id = events.order_line_id
            and events.disposition = 'return'
    where events.return_id is null

),

final as (

    select * from events
    union all
    select * from status_events

)

select * from final
