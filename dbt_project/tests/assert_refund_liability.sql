-- the roll-forward leads from one month-end to the next, currencies add up to the whole, and what
-- was sold and refunded is what the ledger says

{%- set amounts = [
    'open_net_amount', 'liability_amount', 'new_sales_amount', 'new_sales_liability',
    'refunds_paid', 'realised_refund_amount',
] %}

with liabilities as (

    select * from {{ ref('refund_liability') }}

),

currency_sums as (

    select
        source,
        known_on,
        {%- for amount in amounts + ['goods_cost_amount'] %}
        sum(case when currency = 'all' then 0 else {{ amount }} end) as {{ amount }},
        {%- endfor %}
        sum(case when currency = 'all' then 1 else 0 end) as all_rows
    from liabilities
    group by source, known_on

),

unequal_currencies as (

    select
        'the currencies add up to all' as claim,
        currency_sums.source,
        cast(currency_sums.known_on as string) as example
    from currency_sums
    left join liabilities
        on
            currency_sums.source = liabilities.source
            and currency_sums.known_on = liabilities.known_on
            and liabilities.currency = 'all'
    where
        currency_sums.all_rows <> 1
        or coalesce(liabilities.goods_cost_amount, 0)
        <> coalesce(currency_sums.goods_cost_amount, 0)
        {%- for amount in amounts %}
        or liabilities.{{ amount }} <> currency_sums.{{ amount }}
        {%- endfor %}

),

broken_chain as (

    select
        'a month opens with what the one before closed with' as claim,
        liabilities.source,
        liabilities.currency || ' ' || cast(liabilities.known_on as string) as example
    from liabilities
    left join liabilities as earlier
        on
            liabilities.source = earlier.source
            and liabilities.currency = earlier.currency
            and liabilities.opening_on = earlier.known_on
    where
        earlier.liability_amount <> liabilities.opening_liability
        or (earlier.source is not null and liabilities.opening_liability is null)
        or (earlier.source is null and liabilities.opening_liability <> 0)

),

ledger_sales as (

    select
        liabilities.source,
        liabilities.known_on,
        sum(order_lines.net_amount) as net_amount
    from liabilities
    inner join {{ ref('order_lines') }} as order_lines
        on
            liabilities.source = order_lines.source
            and liabilities.currency = 'all'
            and order_lines.is_sale
            and liabilities.opening_on < order_lines.ordered_date
            and liabilities.known_on >= order_lines.ordered_date
    group by liabilities.source, liabilities.known_on

),

ledger_refunds as (

    select
        liabilities.source,
        liabilities.known_on,
        sum(returns.refund_amount) as refund_amount
    from liabilities
    inner join {{ ref('returns') }} as returns
        on
            liabilities.source = returns.source
            and liabilities.currency = 'all'
            and returns.order_line_id is not null
            and liabilities.opening_on < returns.returned_date
            and liabilities.known_on >= returns.returned_date
    group by liabilities.source, liabilities.known_on

),

unequal_to_ledger as (

    select
        'sales and refunds of the period are those of the ledger' as claim,
        liabilities.source,
        cast(liabilities.known_on as string) as example
    from liabilities
    left join ledger_sales
        on
            liabilities.source = ledger_sales.source
            and liabilities.known_on = ledger_sales.known_on
    left join ledger_refunds
        on
            liabilities.source = ledger_refunds.source
            and liabilities.known_on = ledger_refunds.known_on
    where
        liabilities.currency = 'all'
        and (
            liabilities.new_sales_amount <> coalesce(ledger_sales.net_amount, 0)
            or liabilities.refunds_paid <> coalesce(ledger_refunds.refund_amount, 0)
        )

),

missing as (

    select
        'every month-end with a curve has a reserve' as claim,
        curves.source,
        cast(curves.known_on as string) as example
    from (
        select distinct
            curves.source,
            curves.as_of_date as known_on
        from {{ ref('int_completion_curves') }} as curves
        inner join {{ ref('int_as_of_dates') }} as as_of_dates
            on
                curves.source = as_of_dates.source
                and curves.as_of_date = as_of_dates.as_of_date
                and (as_of_dates.is_month_end or as_of_dates.is_current)
    ) as curves
    left join liabilities
        on
            curves.source = liabilities.source
            and curves.known_on = liabilities.known_on
            and liabilities.currency = 'all'
    where liabilities.source is null

)

select * from unequal_currencies
union all
select * from broken_chain
union all
select * from unequal_to_ledger
union all
select * from missing
