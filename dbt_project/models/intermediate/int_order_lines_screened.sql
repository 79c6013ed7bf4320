with order_lines as (

    select * from {{ ref('int_order_lines_unioned') }}

),

sources as (

    select * from {{ ref('int_source_currencies') }}

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

policy_rates as (

    select * from {{ ref('policy_fx_rates') }}

),

fx_rates as (

    select
        sources.source,
        policy_rates.currency,
        policy_rates.month,
        policy_rates.rate
    from sources
    inner join policy_rates
        on
            sources.reporting_currency = policy_rates.reporting_currency
            and policy_rates.source in (sources.source, '*')

),

products as (

    select * from {{ ref('int_products_deduplicated') }}

),

-- what the policies, the rates and the product file say about each row
joined as (

    select
        order_lines.*,
        sources.reporting_currency,
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
            excluded_row_kinds.excluded_by
        ) as excluded_by
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
            order_lines.source = fx_rates.source
            and order_lines.currency = fx_rates.currency
            and {{ month_start('order_lines.ordered_at') }} = fx_rates.month
    left join products
        on
            order_lines.source = products.source
            and order_lines.product_id = products.product_id

),

converted as (

    select
        *,
        {{ converted('amount', 'fx_rate') }} as converted_amount
    from joined

),

judged as (

    select
        *,
        {{ reasons({
            'no_fx_rate_for_currency_and_month': 'fx_rate is null and ordered_at is not null',
            'amount_too_large': 'fx_rate is not null and converted_amount is null',
        }, also='reject_reasons') }} as all_reject_reasons
    from converted

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
        ordered_at,
        promised_at,
        delivered_at,
        cancelled_at,
        quantity,
        coalesce(currency, reporting_currency) as original_currency,
        reporting_currency as currency,
        fx_rate,
        amount as original_amount,
        converted_amount as ordered_amount,
        {{ converted('unit_price', 'fx_rate') }} as unit_price,
        {{ converted('discount_amount', 'fx_rate') }} as discount_amount,
        {{ converted('tax_amount', 'fx_rate') }} as tax_amount,
        {{ converted('shipping_amount', 'fx_rate') }} as shipping_amount
    from judged

)

select * from final
