-- The reserve of each month-end, in pieces that add up: what is still expected back of the sales of
-- a month, category and currency, how sure that is, and what the goods are worth.

with cells as (

    select * from {{ ref('int_sale_cells_replayed') }} where is_month_end or is_current

),

current_cells as (

    select * from {{ ref('int_sale_cells_replayed') }} where is_current

),

cell_costs as (

    select * from {{ ref('int_sale_cell_costs') }}

),

value_rates as (

    select * from {{ ref('int_open_rates') }} where unit = 'value'

),

units_rates as (

    select * from {{ ref('int_open_rates') }} where unit = 'units'

),

lines_rates as (

    select * from {{ ref('int_open_rates') }} where unit = 'lines'

),

-- sales older than the current cells are as mature as they will get
open_cells as (

    select
        cells.*,
        1 - cells.maturity as open_share,
        1 - coalesce(current_cells.maturity, 1) as current_open_share
    from cells
    left join current_cells
        on cells.cell_id = current_cells.cell_id

),

summed as (

    select
        open_cells.source,
        open_cells.as_of_date,
        open_cells.category,
        open_cells.original_currency,
        {{ month_start('open_cells.ordered_date') }} as sale_month,
        sum(open_cells.net_amount) as net_amount,
        sum(open_cells.refund_amount) as refund_amount,
        cast(sum({{ weighted('open_cells.line_count', 'open_cells.open_share') }}) as double)
            as open_lines,
        sum(case when open_cells.maturity < 1 then open_cells.net_amount else 0 end)
            as open_net_amount,
        cast(sum({{ weighted('open_cells.net_amount', 'open_cells.open_share') }}) as double)
            as open_amount,
        cast(
            sum({{ weighted('open_cells.net_amount', 'open_cells.current_open_share') }}) as double
        ) as still_open_amount,
        cast(sum({{ weighted('open_cells.net_amount', 'open_cells.maturity_se') }}) as double)
            as exposure_error,
        cast(sum({{ weighted('cell_costs.net_amount', 'open_cells.open_share') }}) as double)
            as costed_amount,
        cast(sum({{ weighted('cell_costs.goods_cost', 'open_cells.open_share') }}) as double)
            as open_cost,
        cast(sum({{ weighted('cell_costs.recovery_per_line', 'open_cells.open_share') }}) as double)
            as recovery_per_line,
        cast(sum({{ weighted('cell_costs.recovery_per_unit', 'open_cells.open_share') }}) as double)
            as recovery_per_unit,
        cast(
            sum({{ weighted('cell_costs.recovery_per_value', 'open_cells.open_share') }}) as double
        ) as recovery_per_value,
        min(
            case
                when cell_costs.has_recovery_cost then 1
                when not cell_costs.has_recovery_cost then 0
            end
        ) as has_recovery_cost
    from open_cells
    left join cell_costs
        on open_cells.cell_id = cell_costs.cell_id
    group by
        open_cells.source,
        open_cells.as_of_date,
        open_cells.category,
        open_cells.original_currency,
        {{ month_start('open_cells.ordered_date') }}

),

-- nobody spends more on getting goods back than they are worth
projected as (

    select
        summed.*,
        value_rates.rate,
        value_rates.rate * summed.open_amount as expected_amount,
        value_rates.rate * summed.open_cost as expected_cost,
        lines_rates.rate * summed.open_lines as expected_lines,
        lines_rates.rate * summed.recovery_per_line
        + units_rates.rate * summed.recovery_per_unit
        + value_rates.rate * summed.recovery_per_value as expected_recovery,
        value_rates.rate * (1 - value_rates.rate) * value_rates.clump_size * summed.open_amount
        + value_rates.rate_variance * summed.open_amount * summed.open_amount as variance,
        value_rates.rate * (cast(summed.net_amount as double) + value_rates.prior_exposure)
        / (value_rates.exposure + value_rates.prior_exposure) * summed.exposure_error
            as curve_error
    from summed
    inner join value_rates
        on
            summed.source = value_rates.source
            and summed.as_of_date = value_rates.as_of_date
            and summed.category = value_rates.category
            and summed.original_currency = value_rates.original_currency
            and summed.sale_month = value_rates.sale_month
    inner join units_rates
        on
            summed.source = units_rates.source
            and summed.as_of_date = units_rates.as_of_date
            and summed.category = units_rates.category
            and summed.original_currency = units_rates.original_currency
            and summed.sale_month = units_rates.sale_month
    inner join lines_rates
        on
            summed.source = lines_rates.source
            and summed.as_of_date = lines_rates.as_of_date
            and summed.category = lines_rates.category
            and summed.original_currency = lines_rates.original_currency
            and summed.sale_month = lines_rates.sale_month

),

-- decimals, so that every sum of them is exact
final as (

    select
        source,
        as_of_date,
        category,
        original_currency,
        sale_month,
        cast(net_amount as decimal(18, 4)) as net_amount,
        cast(refund_amount as decimal(18, 4)) as refund_amount,
        cast(open_net_amount as decimal(18, 4)) as open_net_amount,
        rate,
        {{ money('expected_amount') }} as liability_amount,
        cast(round(rate * still_open_amount, 6) as decimal(24, 6)) as undecided_amount,
        cast(round(expected_lines, 6) as decimal(24, 6)) as expected_lines,
        cast(round(variance, 6) as decimal(38, 6)) as variance,
        cast(round(curve_error, 6) as decimal(24, 6)) as curve_error,
        cast(round(rate * costed_amount, 6) as decimal(24, 6)) as costed_amount,
        {{ money('expected_cost') }} as goods_cost_amount,
        case
            when has_recovery_cost = 1
                then {{ money('least(expected_recovery, expected_cost)') }}
        end as recovery_cost_amount
    from projected

)

select * from final
