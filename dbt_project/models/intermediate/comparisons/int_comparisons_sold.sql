-- What the members of each dimension sold in every compared period, and the rate at which it comes
-- back in the end: projected as in return_rates.

with comparisons as (

    select * from {{ ref('int_comparisons_dated') }} where is_covered and has_returns

),

days as (

    select * from {{ ref('int_days') }}

),

months as (

    select * from {{ ref('int_months') }}

),

prior_exposures as (

    select * from {{ ref('int_prior_exposures') }} where is_current

),

reference_rates as (

    select * from {{ ref('int_reference_rates') }} where is_current

),

order_lines as (

    select * from {{ ref('order_lines') }} where is_sale

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

-- the history that weighs against a period is the last year, in whole months
history_starts as (

    select
        source,
        min(month_start) as history_start
    from months
    where
        {{ days_between('month_start', 'as_of_date') }}
        < {{ policy_value('completion_window_days') }}
    group by source

),

-- a day may belong to several periods: cut the history wherever one begins or ends, so that every
-- line is added up once and a period is some of the stretches
bounds as (

    select
        source,
        period_start as bound
    from periods

    union distinct

    select
        source,
        cast({{ dbt.dateadd('day', 1, 'period_end') }} as date) as bound
    from periods

    union distinct

    select
        source,
        history_start as bound
    from history_starts

),

stretches as (

    select
        days.source,
        days.day,
        max(bounds.bound) as stretch_start
    from days
    left join bounds
        on
            days.source = bounds.source
            and days.day >= bounds.bound
    group by days.source, days.day

),

stratified_lines as (

    select
        *,
        {{ completion_stratum(1) }} as stratum_1
    from order_lines

),

-- what each line is expected to have brought back by now, and still to bring back
weighted_lines as (

    select
        lines.source,
        stretches.stretch_start,
        lines.category,
        lines.seller_id,
        lines.country,
        lines.channel,
        lines.net_amount,
        lines.refund_amount,
        case when lines.maturity is null then 1 else 0 end as is_without_maturity,
        cast(coalesce(lines.maturity, 1) as decimal(9, 6)) as maturity,
        cast(
            coalesce(reference_rates.reference_rate, 1) * coalesce(lines.maturity, 1)
            as decimal(9, 6)
        ) as expected_rate,
        cast(
            coalesce(reference_rates.reference_rate, 1) * (1 - coalesce(lines.maturity, 1))
            as decimal(9, 6)
        ) as open_rate
    from stratified_lines as lines
    inner join stretches
        on
            lines.source = stretches.source
            and lines.ordered_date = stretches.day
    left join reference_rates
        on
            lines.source = reference_rates.source
            and lines.stratum_1 = reference_rates.stratum_1

),

sold_stretches as (

    {%- for dimension, column in compared_dimensions().items() %}

    select
        source,
        stretch_start,
        '{{ dimension }}' as dimension,
        coalesce({{ column }}, 'unknown') as member,
        count(*) as sold_lines,
        sum(is_without_maturity) as lines_without_maturity,
        sum(net_amount) as sales_amount,
        sum(refund_amount) as refund_amount,
        -- exact, and not rounded per line: that takes DuckDB thirty times as long
        sum({{ weighted('net_amount', 'maturity') }}) as exposure_amount,
        sum({{ weighted('net_amount', 'expected_rate') }}) as expected_amount,
        sum({{ weighted('net_amount', 'open_rate') }}) as open_amount
    from weighted_lines
    group by source, stretch_start, coalesce({{ column }}, 'unknown')
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

history as (

    select
        sold_stretches.source,
        sold_stretches.dimension,
        {%- for sum in ['sold_lines', 'refund_amount', 'expected_amount', 'open_amount'] %}
        sum(
            case
                when sold_stretches.stretch_start >= history_starts.history_start
                    then sold_stretches.{{ sum }}
                else 0
            end
        ) as {{ sum }},
        {%- endfor %}
        sold_stretches.member
    from sold_stretches
    inner join history_starts
        on sold_stretches.source = history_starts.source
    group by sold_stretches.source, sold_stretches.dimension, sold_stretches.member

),

source_histories as (

    select
        source,
        dimension,
        coalesce(
            cast(sum(refund_amount) as double)
            / nullif(cast(sum(expected_amount) as double), 0),
            0
        ) as source_ratio,
        coalesce(
            cast(sum(expected_amount + open_amount) as double) / nullif(sum(sold_lines), 0), 0
        ) as line_expected
    from history
    group by source, dimension

),

priors as (

    select
        history.source,
        history.dimension,
        history.member,
        coalesce(
            prior_exposures.prior_exposure_lines, {{ policy_value('prior_exposure_lines') }}
        ) * source_histories.line_expected as prior_expected,
        coalesce(
            {{ exposure_ratio(
                'history.refund_amount',
                'cast(history.expected_amount as double)',
                'source_histories.source_ratio',
                policy_value('prior_exposure_lines') ~ ' * source_histories.line_expected'
            ) }},
            source_histories.source_ratio
        ) as prior_ratio
    from history
    inner join source_histories
        on
            history.source = source_histories.source
            and history.dimension = source_histories.dimension
    -- sellers and channels vary from month to month as categories do
    left join prior_exposures
        on
            history.source = prior_exposures.source
            and prior_exposures.entity_type = case
                when history.dimension = 'country' then 'country'
                else 'category'
            end

),

sold as (

    select
        sold_stretches.source,
        sold_stretches.dimension,
        sold_stretches.member,
        periods.period_start,
        periods.period_end,
        sum(sold_stretches.lines_without_maturity) as lines_without_maturity,
        sum(sold_stretches.sales_amount) as sales_amount,
        sum(sold_stretches.refund_amount) as refund_amount,
        sum(sold_stretches.exposure_amount) as exposure_amount,
        cast(sum(sold_stretches.expected_amount) as double) as expected_amount,
        cast(sum(sold_stretches.open_amount) as double) as open_amount
    from sold_stretches
    inner join periods
        on
            sold_stretches.source = periods.source
            and sold_stretches.stretch_start between periods.period_start and periods.period_end
    group by
        sold_stretches.source,
        sold_stretches.dimension,
        sold_stretches.member,
        periods.period_start,
        periods.period_end

),

rated as (

    select
        sold.*,
        coalesce(
            {{ exposure_ratio(
                'sold.refund_amount',
                'sold.expected_amount',
                'priors.prior_ratio',
                'priors.prior_expected'
            ) }},
            0
        ) as ratio
    from sold
    inner join priors
        on
            sold.source = priors.source
            and sold.dimension = priors.dimension
            and sold.member = priors.member

),

final as (

    select
        source,
        dimension,
        member,
        period_start,
        period_end,
        sales_amount,
        exposure_amount,
        lines_without_maturity,
        case
            when sales_amount > 0
                then
                least(
                    1,
                    (cast(refund_amount as double) + ratio * open_amount)
                    / cast(sales_amount as double)
                )
        end as final_rate
    from rated

)

select * from final
