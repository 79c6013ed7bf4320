with order_lines as (

    select * from {{ ref('int_order_lines_unioned') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

excluded_products as (

    select * from {{ ref('int_ids_excluded') }} where field = 'product_id'

),

excluded_orders as (

    select * from {{ ref('int_ids_excluded') }} where field = 'order_id'

),

excluded_row_kinds as (

    select * from {{ ref('int_ids_excluded') }} where field = 'row_kind'

),

guest_ids as (

    select * from {{ ref('policy_guest_ids') }}

),

fx_rates as (

    select * from {{ ref('policy_fx_rates') }}

),

products as (

    select * from {{ ref('int_products_deduplicated') }}

),

-- what other rows, the calendar and the policies say about each row
joined as (

    select
        order_lines.*,
        sources.reporting_currency,
        sources.as_of_date,
        sources.has_returns,
        products.category as product_category,
        products.brand as product_brand,
        case when guest_ids.guest_id is null then order_lines.customer_id end as known_customer_id,
        case
            when coalesce(order_lines.currency, sources.reporting_currency)
                = sources.reporting_currency
                then cast(1 as decimal(18, 6))
            else fx_rates.rate
        end as fx_rate,
        coalesce(
            excluded_products.excluded_by,
            excluded_orders.excluded_by,
            excluded_row_kinds.excluded_by,
            case
                when
                    cast(order_lines.ordered_at as date) > sources.as_of_date
                    and cast(order_lines.ordered_at as date) <= sources.last_event_date
                    then 'after_as_of_date'
            end
        ) as excluded_by,
        coalesce(
            cast(order_lines.ordered_at as date) < sources.first_event_date
            or cast(order_lines.ordered_at as date) > sources.last_event_date,
            false
        ) as is_implausible
    from order_lines
    left join sources
        on order_lines.source = sources.source
    left join excluded_products
        on
            order_lines.source = excluded_products.source
            and order_lines.product_id = excluded_products.id
    left join excluded_orders
        on
            order_lines.source = excluded_orders.source
            and order_lines.order_id = excluded_orders.id
    left join excluded_row_kinds
        on
            order_lines.source = excluded_row_kinds.source
            and order_lines.row_kind = excluded_row_kinds.id
    left join guest_ids
        on lower(order_lines.customer_id) = guest_ids.guest_id
    left join fx_rates
        on
            order_lines.currency = fx_rates.currency
            and sources.reporting_currency = fx_rates.reporting_currency
            and {{ month_start('order_lines.ordered_at') }} = fx_rates.month
    left join products
        on
            order_lines.source = products.source
            and order_lines.product_id = products.product_id

),

judged as (

    select
        *,
        {{ reasons({
            'ordered_at_implausible': 'is_implausible',
            'no_fx_rate_for_currency_and_month':
                'fx_rate is null and ordered_at is not null and not is_implausible',
        }, also='reject_reasons') }} as all_reject_reasons,
        case
            when
                return_status = 'cancelled' or cast(cancelled_at as date) <= as_of_date
                then 'cancelled'
            when return_status = 'undelivered' then 'undelivered'
            else 'sold'
        end as sale_status
    from joined

),

final as (

    select
        source,
        file,
        row_number,
        case
            when excluded_by is not null then 'excluded'
            when all_reject_reasons is not null then 'rejected'
            else 'order_line'
        end as disposition,
        excluded_by,
        all_reject_reasons as reject_reasons,
        order_line_id is not null as has_id,
        {{ row_key('order_line_id', "order_id || '-' || product_id", order_line_content()) }}
            as row_key,
        order_id,
        known_customer_id as customer_id,
        product_id,
        seller_id,
        marketplace,
        coalesce(category, product_category) as category,
        coalesce(brand, product_brand) as brand,
        size,
        colour,
        country,
        channel,
        payment_method,
        customer_type,
        return_status,
        sale_status,
        ordered_at,
        promised_at,
        case when cast(delivered_at as date) <= as_of_date then delivered_at end as delivered_at,
        case when cast(cancelled_at as date) <= as_of_date then cancelled_at end as cancelled_at,
        quantity as ordered_quantity,
        case when sale_status = 'sold' then quantity else 0 end as quantity,
        coalesce(currency, reporting_currency) as original_currency,
        reporting_currency as currency,
        fx_rate,
        amount as original_amount,
        cast(round(unit_price * fx_rate, 4) as decimal(18, 4)) as unit_price,
        cast(round(discount_amount * fx_rate, 4) as decimal(18, 4)) as discount_amount,
        cast(round(tax_amount * fx_rate, 4) as decimal(18, 4)) as tax_amount,
        cast(round(shipping_amount * fx_rate, 4) as decimal(18, 4)) as shipping_amount,
        cast(round(amount * fx_rate, 4) as decimal(18, 4)) as ordered_amount,
        cast(
            case when sale_status = 'sold' then round(amount * fx_rate, 4) else 0 end
            as decimal(18, 4)
        ) as net_amount,
        has_returns,
        as_of_date
    from judged

)

select * from final
