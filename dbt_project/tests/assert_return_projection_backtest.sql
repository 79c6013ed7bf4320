-- a past projection knows nothing of what came later: its sales and returns are those of the ledger
-- up to that day, and what it is compared with is the ledger of today

with backtest as (

    select * from {{ ref('return_projection_backtest') }}
    where entity_type = 'all' and unit = 'units'

),

sold as (

    select
        backtest.source,
        backtest.known_on,
        backtest.cohort_kind,
        backtest.cohort_start,
        sum(order_lines.quantity) as quantity,
        sum(order_lines.returned_quantity) as returned_quantity
    from backtest
    inner join {{ ref('order_lines') }} as order_lines
        on
            backtest.source = order_lines.source
            and order_lines.is_sale
            and order_lines.ordered_date between backtest.cohort_start and backtest.cohort_end
    group by backtest.source, backtest.known_on, backtest.cohort_kind, backtest.cohort_start

),

returned as (

    select
        backtest.source,
        backtest.known_on,
        backtest.cohort_kind,
        backtest.cohort_start,
        sum(returns.quantity) as known_quantity
    from backtest
    inner join {{ ref('returns') }} as returns
        on
            backtest.source = returns.source
            and returns.order_line_id is not null
            and cast(returns.ordered_at as date)
            between backtest.cohort_start and backtest.cohort_end
            and backtest.known_on >= returns.returned_date
    group by backtest.source, backtest.known_on, backtest.cohort_kind, backtest.cohort_start

),

undated as (

    select distinct source
    from {{ ref('returns') }}
    where order_line_id is not null and returned_at is null

),

final as (

    select
        'cohorts are those of the ledger, then and now' as claim,
        backtest.source,
        backtest.cohort_kind || ' ' || cast(backtest.cohort_start as string) || ' on '
        || cast(backtest.known_on as string) as example
    from backtest
    left join sold
        on
            backtest.source = sold.source
            and backtest.known_on = sold.known_on
            and backtest.cohort_kind = sold.cohort_kind
            and backtest.cohort_start = sold.cohort_start
    left join returned
        on
            backtest.source = returned.source
            and backtest.known_on = returned.known_on
            and backtest.cohort_kind = returned.cohort_kind
            and backtest.cohort_start = returned.cohort_start
    left join undated
        on backtest.source = undated.source
    where
        sold.source is null
        or backtest.denominator <> sold.quantity
        or backtest.numerator <> coalesce(returned.known_quantity, 0)
        or (undated.source is null and backtest.final_numerator <> sold.returned_quantity)

)

select * from final
