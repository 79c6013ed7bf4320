with returns as (

    select * from {{ ref('int_returns_unioned') }}

),

sources as (

    select * from {{ ref('int_source_currencies') }}

),

excluded_ids as (

    select * from {{ ref('int_ids_excluded') }}

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

joined as (

    select
        returns.*,
        sources.reporting_currency,
        case when guest_ids.guest_id is null then returns.customer_id end as known_customer_id,
        case
            when coalesce(returns.currency, sources.reporting_currency)
                = sources.reporting_currency
                then cast(1 as decimal(18, 6))
            else fx_rates.rate
        end as fx_rate,
        coalesce(excluded_products.excluded_by, excluded_orders.excluded_by) as excluded_by
    from returns
    left join sources
        on returns.source = sources.source
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
            returns.source = fx_rates.source
            and returns.currency = fx_rates.currency
            and {{ month_start('returns.returned_at') }} = fx_rates.month

),

judged as (

    select
        *,
        {{ reasons({
            'no_fx_rate_for_currency_and_month':
                'fx_rate is null and refund_amount is not null and returned_at is not null',
        }, also='reject_reasons') }} as all_reject_reasons
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
            else 'return'
        end as disposition,
        excluded_by,
        all_reject_reasons as reject_reasons,
        return_id is not null as has_id,
        {{ row_key('return_id', 'document_id', return_content()) }} as row_key,
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
        amount as original_amount
    from judged

)

select * from final
