with cells as (

    select * from {{ ref('int_reserve_cells') }}

),

rate_variations as (

    select * from {{ ref('int_rate_variation') }}

),

sale_cells as (

    select * from {{ ref('int_sale_cells') }}

),

return_cells as (

    select * from {{ ref('int_return_cells') }}

),

curves as (

    select * from {{ ref('int_completion_curves') }} where level = 0 and age_days = 0

),

as_of_dates as (

    select * from {{ ref('int_as_of_dates') }} where is_month_end or is_current

),

sources as (

    select * from {{ ref('int_sources') }}

),

scopes as (

    select 'currency' as scope
    union all
    select 'all' as scope

),

-- the days of which a completion curve is known
days as (

    select
        as_of_dates.source,
        as_of_dates.as_of_date as known_on,
        as_of_dates.is_current,
        {{ month_start('as_of_dates.as_of_date') }} as month_start,
        cast({{ dbt.dateadd('day', -1, month_start('as_of_dates.as_of_date')) }} as date)
            as opening_on
    from as_of_dates
    inner join curves
        on
            as_of_dates.source = curves.source
            and as_of_dates.as_of_date = curves.as_of_date

),

currencies as (

    select
        sale_cells.source,
        case scopes.scope when 'all' then 'all' else sale_cells.original_currency end as currency,
        min(sale_cells.ordered_date) as first_sold_on
    from sale_cells
    cross join scopes
    group by
        sale_cells.source,
        case scopes.scope when 'all' then 'all' else sale_cells.original_currency end

),

reserves as (

    select
        cells.source,
        cells.as_of_date as known_on,
        case scopes.scope when 'all' then 'all' else cells.original_currency end as currency,
        sum(cells.open_net_amount) as open_net_amount,
        sum(cells.liability_amount) as liability_amount,
        sum(cells.undecided_amount) as undecided_amount,
        sum(cells.expected_lines) as expected_lines,
        -- chance adds up; what moves all cells at once is added up before it is squared
        cast(sum(cells.variance) as double)
        + power(cast(sum(cells.curve_error) as double), 2)
        + power(cast(sum(cells.liability_amount) as double), 2)
        * max(rate_variations.relative_variance) as variance,
        sum(cells.costed_amount) as costed_amount,
        sum(cells.goods_cost_amount) as goods_cost_amount,
        case
            when count(cells.goods_cost_amount) = count(cells.recovery_cost_amount)
                then sum(cells.recovery_cost_amount)
        end as recovery_cost_amount,
        sum(case when cells.sale_month = days.month_start then cells.net_amount else 0 end)
            as new_sales_amount,
        sum(
            case
                when cells.sale_month = days.month_start
                    then cells.refund_amount + cells.liability_amount
                else 0
            end
        ) as new_sales_liability,
        sum(case when cells.sale_month = days.month_start then cells.refund_amount else 0 end)
            as new_refund_amount,
        sum(case when cells.sale_month = days.month_start then 0 else cells.liability_amount end)
            as earlier_liability_amount
    from cells
    inner join days
        on
            cells.source = days.source
            and cells.as_of_date = days.known_on
    inner join rate_variations
        on
            cells.source = rate_variations.source
            and cells.as_of_date = rate_variations.as_of_date
    cross join scopes
    group by
        cells.source,
        cells.as_of_date,
        case scopes.scope when 'all' then 'all' else cells.original_currency end

),

refunds_by_month as (

    select
        source,
        original_currency,
        {{ month_start('ordered_date') }} as sale_month,
        {{ month_start('returned_date') }} as refund_month,
        sum(refund_amount) as refund_amount
    from return_cells
    group by
        source,
        original_currency,
        {{ month_start('ordered_date') }},
        {{ month_start('returned_date') }}

),

-- paid since the last month-end, and paid afterwards for what was sold by then
refunds as (

    select
        days.source,
        days.known_on,
        case scopes.scope when 'all' then 'all' else refunds_by_month.original_currency end
            as currency,
        sum(
            case
                when refunds_by_month.refund_month = days.month_start
                    then refunds_by_month.refund_amount
                else 0
            end
        ) as refunds_paid,
        sum(
            case
                when refunds_by_month.refund_month > days.month_start
                    then refunds_by_month.refund_amount
                else 0
            end
        ) as realised_refund_amount
    from days
    inner join refunds_by_month
        on
            days.source = refunds_by_month.source
            and days.month_start >= refunds_by_month.sale_month
            and days.month_start <= refunds_by_month.refund_month
    cross join scopes
    group by
        days.source,
        days.known_on,
        case scopes.scope when 'all' then 'all' else refunds_by_month.original_currency end

),

joined as (

    select
        days.source,
        days.known_on,
        days.opening_on,
        days.month_start,
        currencies.currency,
        currencies.first_sold_on,
        {%- for amount in [
            'open_net_amount', 'liability_amount', 'undecided_amount', 'expected_lines',
            'variance', 'costed_amount', 'new_sales_amount', 'new_sales_liability',
            'new_refund_amount', 'earlier_liability_amount',
        ] %}
        coalesce(reserves.{{ amount }}, 0) as {{ amount }},
        {%- endfor %}
        reserves.goods_cost_amount,
        reserves.recovery_cost_amount,
        coalesce(refunds.refunds_paid, 0) as refunds_paid,
        coalesce(refunds.realised_refund_amount, 0) as realised_refund_amount
    from days
    inner join currencies
        on
            days.source = currencies.source
            and days.known_on >= currencies.first_sold_on
    left join reserves
        on
            days.source = reserves.source
            and days.known_on = reserves.known_on
            and currencies.currency = reserves.currency
    left join refunds
        on
            days.source = refunds.source
            and days.known_on = refunds.known_on
            and currencies.currency = refunds.currency

),

-- the closing liability of a month opens the next one; a currency opens with its first sale
opened as (

    select
        joined.*,
        case
            when joined.first_sold_on >= joined.month_start then 0
            else openings.liability_amount
        end as opening_liability
    from joined
    left join joined as openings
        on
            joined.source = openings.source
            and joined.currency = openings.currency
            and joined.opening_on = openings.known_on

),

-- a gamma distribution has its highest upper end at this variance, a larger one would lower it
capped as (

    select
        *,
        least(
            variance,
            power(1.5 * {{ interval_z() }} * cast(liability_amount as double), 2)
        ) as bounding_variance
    from opened

),

-- with so few lines expected that perhaps none comes, the lower end is nothing
judged as (

    select
        *,
        earlier_liability_amount + refunds_paid - new_refund_amount - opening_liability
            as true_up_amount,
        case
            when liability_amount > 0
                then
                greatest(
                    0, 1 - cast(undecided_amount as double) / cast(liability_amount as double)
                )
        end as decided_share,
        case
            when
                cast(expected_lines as double)
                < -ln(0.5 - cast({{ policy_value('interval_confidence_percent') }} as double) / 200)
                then 0
            else
                least(
                    liability_amount,
                    {{ money(gamma_bound(
                        'cast(liability_amount as double)', 'bounding_variance', interval_z(), '-'
                    )) }}
                )
        end as liability_lo,
        greatest(
            liability_amount,
            {{ money(gamma_bound(
                'cast(liability_amount as double)', 'bounding_variance', interval_z(), '+'
            )) }}
        ) as liability_hi
    from capped

),

final as (

    select
        judged.source,
        judged.known_on,
        judged.currency,
        sources.reporting_currency,
        cast(judged.open_net_amount as decimal(18, 4)) as open_net_amount,
        cast(judged.liability_amount as decimal(18, 4)) as liability_amount,
        cast(judged.liability_lo as decimal(18, 4)) as liability_lo,
        cast(judged.liability_hi as decimal(18, 4)) as liability_hi,
        cast(judged.goods_cost_amount as decimal(18, 4)) as goods_cost_amount,
        cast(judged.recovery_cost_amount as decimal(18, 4)) as recovery_cost_amount,
        cast(judged.goods_cost_amount - judged.recovery_cost_amount as decimal(18, 4))
            as return_asset_amount,
        case
            when judged.liability_amount > 0
                then
                round(
                    cast(judged.costed_amount as double) / cast(judged.liability_amount as double),
                    6
                )
        end as asset_coverage,
        judged.opening_on,
        cast(judged.opening_liability as decimal(18, 4)) as opening_liability,
        cast(judged.new_sales_amount as decimal(18, 4)) as new_sales_amount,
        cast(judged.new_sales_liability as decimal(18, 4)) as new_sales_liability,
        cast(judged.true_up_amount as decimal(18, 4)) as true_up_amount,
        cast(judged.refunds_paid as decimal(18, 4)) as refunds_paid,
        cast(
            judged.new_sales_amount - judged.new_sales_liability - judged.true_up_amount
            as decimal(18, 4)
        ) as recognised_revenue,
        cast(judged.realised_refund_amount as decimal(18, 4)) as realised_refund_amount,
        round(judged.decided_share, 6) as decided_share,
        coalesce(
            100 * judged.decided_share >= {{ policy_value('final_completion_percent') }}, false
        ) as is_final,
        case
            when
                100 * judged.decided_share >= {{ policy_value('final_completion_percent') }}
                and judged.realised_refund_amount > 0
                then
                round(
                    cast(judged.liability_amount as double)
                    / cast(judged.realised_refund_amount as double) - 1,
                    9
                )
        end as error_rate,
        case
            when 100 * judged.decided_share >= {{ policy_value('final_completion_percent') }}
                then
                judged.realised_refund_amount between judged.liability_lo and judged.liability_hi
        end as is_covered,
        {{ days_between('sources.first_event_date', 'judged.known_on') }}
        >= {{ policy_value('completion_max_age_days') }} as is_curve_complete,
        sources.as_of_date
    from judged
    inner join sources
        on judged.source = sources.source

)

select * from final
