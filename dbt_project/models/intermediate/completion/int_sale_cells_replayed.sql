-- The sales of the year before each replayed day as they stood on that day: what had come back of
-- them by then and how mature they were. Reserves, forecasts and backtests add these cells up.

with as_of_dates as (

    select * from {{ ref('int_as_of_dates') }}

),

sale_cells as (

    select * from {{ ref('int_sale_cells') }}

),

return_cells as (

    select * from {{ ref('int_return_cells') }}

),

maturities as (

    select * from {{ ref('int_maturities') }}

),

days_with_curve as (

    select distinct
        source,
        as_of_date
    from {{ ref('int_completion_curves') }}

),

replayed as (

    select
        sale_cells.*,
        as_of_dates.as_of_date,
        as_of_dates.is_current,
        as_of_dates.is_month_end,
        as_of_dates.is_week_end,
        {{ days_between('sale_cells.ordered_date', 'as_of_dates.as_of_date') }} as age_days
    from sale_cells
    inner join as_of_dates
        on
            sale_cells.source = as_of_dates.source
            and sale_cells.ordered_date <= as_of_dates.as_of_date
            and {{ days_between('sale_cells.ordered_date', 'as_of_dates.as_of_date') }}
            < {{ policy_value('completion_window_days') }}
    inner join days_with_curve
        on
            as_of_dates.source = days_with_curve.source
            and as_of_dates.as_of_date = days_with_curve.as_of_date

),

returned as (

    select
        return_cells.cell_id,
        as_of_dates.as_of_date,
        sum(return_cells.returned_line_count) as returned_line_count,
        sum(return_cells.quantity) as returned_quantity,
        sum(return_cells.refund_amount) as refund_amount
    from return_cells
    inner join as_of_dates
        on
            return_cells.source = as_of_dates.source
            and return_cells.returned_date <= as_of_dates.as_of_date
            and {{ days_between('return_cells.ordered_date', 'as_of_dates.as_of_date') }}
            < {{ policy_value('completion_window_days') }}
    group by return_cells.cell_id, as_of_dates.as_of_date

),

final as (

    select
        replayed.cell_id,
        replayed.source,
        replayed.as_of_date,
        replayed.is_current,
        replayed.is_month_end,
        replayed.is_week_end,
        replayed.ordered_date,
        replayed.marketplace,
        replayed.category,
        replayed.country,
        replayed.original_currency,
        replayed.stratum_1,
        replayed.stratum_2,
        cast(replayed.age_days as bigint) as age_days,
        coalesce(maturities.lag_days, 0) as lag_days,
        replayed.line_count,
        replayed.quantity,
        replayed.net_amount,
        replayed.squared_quantity,
        replayed.squared_amount,
        cast(coalesce(returned.returned_line_count, 0) as bigint) as returned_line_count,
        cast(coalesce(returned.returned_quantity, 0) as bigint) as returned_quantity,
        cast(coalesce(returned.refund_amount, 0) as decimal(18, 4)) as refund_amount,
        cast(coalesce(maturities.maturity, 1) as decimal(9, 6)) as maturity,
        cast(coalesce(maturities.maturity_se, 0) as decimal(9, 6)) as maturity_se
    from replayed
    left join maturities
        on
            replayed.maturity_id = maturities.maturity_id
            and replayed.as_of_date = maturities.as_of_date
    left join returned
        on
            replayed.cell_id = returned.cell_id
            and replayed.as_of_date = returned.as_of_date

)

select * from final
