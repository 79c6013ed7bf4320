-- What the members of each dimension sold and what came back in every compared period, for whatever
-- sale.

with comparisons as (

    select * from {{ ref('int_comparisons_dated') }} where is_covered and has_returns

),

sold as (

    select * from {{ ref('int_comparisons_sold') }}

),

order_lines as (

    select * from {{ ref('order_lines') }} where is_sale

),

returns as (

    select * from {{ ref('returns') }}

),

periods as (

    select
        source,
        current_start as period_start,
        current_end as period_end
    from comparisons

    union distinct

    select
        source,
        base_start as period_start,
        base_end as period_end
    from comparisons

),

-- a return has the channel of its sale; `own` is what comes back of sales of the same period
period_returns as (

    select
        returns.source,
        periods.period_start,
        periods.period_end,
        returns.category,
        returns.seller_id,
        returns.country,
        order_lines.channel,
        returns.refund_amount + returns.excess_refund_amount as returned_amount,
        case
            when cast(returns.ordered_at as date) >= periods.period_start
                then returns.refund_amount
            else 0
        end as own_returned_amount
    from returns
    inner join periods
        on
            returns.source = periods.source
            and returns.booked_date between periods.period_start and periods.period_end
    left join order_lines
        on
            returns.source = order_lines.source
            and returns.order_line_id = order_lines.order_line_id

),

returned as (

    {%- for dimension, column in compared_dimensions().items() %}

    select
        source,
        '{{ dimension }}' as dimension,
        coalesce({{ column }}, 'unknown') as member,
        period_start,
        period_end,
        sum(returned_amount) as returned_amount,
        sum(own_returned_amount) as own_returned_amount
    from period_returns
    group by source, coalesce({{ column }}, 'unknown'), period_start, period_end
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

final as (

    select
        coalesce(sold.source, returned.source) as source,
        coalesce(sold.dimension, returned.dimension) as dimension,
        coalesce(sold.member, returned.member) as member,
        coalesce(sold.period_start, returned.period_start) as period_start,
        coalesce(sold.period_end, returned.period_end) as period_end,
        coalesce(sold.sales_amount, 0) as sales_amount,
        coalesce(sold.exposure_amount, 0) as exposure_amount,
        coalesce(sold.lines_without_maturity, 0) as lines_without_maturity,
        coalesce(returned.returned_amount, 0) as returned_amount,
        coalesce(returned.own_returned_amount, 0) as own_returned_amount,
        sold.final_rate
    from sold
    full outer join returned
        on
            sold.source = returned.source
            and sold.dimension = returned.dimension
            and sold.member = returned.member
            and sold.period_start = returned.period_start
            and sold.period_end = returned.period_end

)

select * from final
