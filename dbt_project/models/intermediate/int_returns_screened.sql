with returns as (

    select * from {{ ref('int_returns_unioned') }}

),

repeated_rows as (

    select * from {{ ref('int_returns_repeated') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

excluded_ids as (

    select * from {{ ref('int_ids_excluded') }}

),

guest_ids as (

    select * from {{ ref('policy_guest_ids') }}

),

fx_rates as (

    select * from {{ ref('policy_fx_rates') }}

),

order_lines as (

    select * from {{ ref('int_order_lines_screened') }} where disposition = 'order_line'

),

joined as (

    select
        returns.*,
        sources.reporting_currency,
        sources.as_of_date,
        case when guest_ids.guest_id is null then returns.customer_id end as known_customer_id,
        case
            when coalesce(returns.currency, sources.reporting_currency)
                = sources.reporting_currency
                then cast(1 as decimal(18, 6))
            else fx_rates.rate
        end as fx_rate,
        coalesce(
            excluded_products.excluded_by,
            excluded_orders.excluded_by,
            case
                when
                    cast(returns.returned_at as date) > sources.as_of_date
                    and cast(returns.returned_at as date) <= sources.last_event_date
                    then 'after_as_of_date'
            end,
            case when repeated_rows.is_repeat then 'duplicate_delivery' end
        ) as excluded_by,
        coalesce(repeated_rows.occurrence, 1) as occurrence,
        coalesce(repeated_rows.is_conflict, false) as is_conflict,
        coalesce(
            cast(returns.returned_at as date) < sources.first_event_date
            or cast(returns.returned_at as date) > sources.last_event_date,
            false
        ) as is_implausible
    from returns
    left join sources
        on returns.source = sources.source
    left join repeated_rows
        on
            returns.source = repeated_rows.source
            and returns.file = repeated_rows.file
            and returns.row_number = repeated_rows.row_number
    left join excluded_ids as excluded_products
        on
            returns.source = excluded_products.source
            and returns.product_id = excluded_products.id
            and excluded_products.field = 'product_id'
    left join excluded_ids as excluded_orders
        on
            returns.source = excluded_orders.source
            and returns.order_id = excluded_orders.id
            and excluded_orders.field = 'order_id'
    left join guest_ids
        on lower(returns.customer_id) = guest_ids.guest_id
    left join fx_rates
        on
            returns.currency = fx_rates.currency
            and sources.reporting_currency = fx_rates.reporting_currency
            and {{ month_start('returns.returned_at') }} = fx_rates.month

),

judged as (

    select
        *,
        {{ reasons({
            'returned_at_implausible': 'is_implausible',
            'superseded_by_later_delivery': 'is_conflict',
        }, also='reject_reasons') }} as all_reject_reasons
    from joined

),

delivered_events as (

    select
        source,
        file,
        row_number,
        case
            when excluded_by is not null then 'excluded'
            when all_reject_reasons is not null then 'rejected'
            else 'return'
        end as disposition,
        excluded_by,
        all_reject_reasons as reject_reasons,
        coalesce(
            return_id,
            {{ row_key('return_id', 'document_id') }} || '-' || cast(occurrence as string)
        ) as return_id,
        order_line_id,
        order_id,
        product_id,
        known_customer_id as customer_id,
        country,
        reason,
        condition,
        returned_at,
        quantity,
        currency,
        fx_rate,
        refund_amount,
        amount as original_amount,
        false as is_from_status
    from judged

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
    left join delivered_events
        on
            order_lines.source = delivered_events.source
            and order_lines.order_line_id = delivered_events.order_line_id
            and delivered_events.disposition = 'return'
    where
        order_lines.return_status = 'returned'
        and order_lines.sale_status = 'sold'
        and delivered_events.return_id is null

),

final as (

    select * from delivered_events
    union all
    select * from status_events

)

select * from final
