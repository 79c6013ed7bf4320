{%- set z = interval_z() -%}
{%- set sums = [
    'effective_exposure', 'exposure_error', 'expected_returns', 'open_returns'
] -%}

with sales as (

    select * from {{ ref('rpt_sales') }}

),

members as (

    select * from {{ ref('rpt_members') }}

),

cells as (

    select * from {{ ref('int_return_rate_cells') }} where period_grain = 'month'

),

prior_exposures as (

    select * from {{ ref('int_prior_exposures') }} where is_current

),

dispersions as (

    select * from {{ ref('int_return_dispersion') }} where is_current and unit = 'lines'

),

sources as (

    select * from {{ ref('int_sources') }}

),

windows as (

    select window_days from {{ ref('policy_risk_windows') }} where compared_with = 'own past'

),

windowed as (

    select
        sales.source,
        windows.window_days,
        sales.marketplace_key,
        sales.seller_key,
        sales.category_key,
        {{ days_between('sales.day', 'sales.as_of_date') }} < windows.window_days as is_current,
        sales.lines,
        sales.comparable_lines,
        sales.returned_lines,
        {%- for column in sums %}
        sales.{{ column }},
        {%- endfor %}
        sales.as_of_date
    from sales
    inner join windows
        on {{ days_between('sales.day', 'sales.as_of_date') }} < 2 * windows.window_days

),

-- key 0 is everything: every selection that the filters of the report allow
summed as (

    select
        source,
        window_days,
        coalesce(marketplace_key, 0) as marketplace_key,
        coalesce(seller_key, 0) as seller_key,
        coalesce(category_key, 0) as category_key,
        {% for prefix, condition in [('', 'is_current'), ('prior_', 'not is_current')] %}
        {% for measure in ['lines', 'comparable_lines', 'returned_lines'] %}
        cast(sum(case when {{ condition }} then {{ measure }} else 0 end) as bigint)
            as {{ prefix ~ measure }},
        {% endfor %}
        {% for measure in sums %}
        sum(case when {{ condition }} then {{ measure }} else 0 end) as {{ prefix ~ measure }},
        {% endfor %}
        {% endfor %}
        max(as_of_date) as as_of_date
    from windowed
    group by
        source,
        window_days,
        cube(marketplace_key, seller_key, category_key)

),

-- what each member brought back in the last year over what was expected of it: as in return_rates
histories as (

    select
        cells.source,
        cells.entity_type,
        cells.entity_id,
        cast(sum(cells.lines_sold) as double) as line_count,
        cast(sum(cells.lines_returned) as double) as numerator,
        cast(sum(cast(cells.lines_expected as decimal(28, 6))) as double) as expected,
        cast(
            sum(cast(cells.lines_expected + cells.lines_open as decimal(28, 6))) as double
        ) as expected_in_all
    from cells
    inner join sources
        on
            cells.source = sources.source
            and {{ days_between('cells.period_start', 'sources.as_of_date') }}
            < {{ policy_value('completion_window_days') }}
    group by cells.source, cells.entity_type, cells.entity_id

),

source_histories as (

    select
        source,
        coalesce(numerator / nullif(expected, 0), 0) as source_ratio,
        expected_in_all / nullif(line_count, 0) as line_expected
    from histories
    where entity_type = 'all'

),

member_ratios as (

    select
        members.source,
        members.dimension,
        members.member_key,
        {{ exposure_ratio(
            'histories.numerator', 'histories.expected', 'source_histories.source_ratio',
            policy_value('prior_exposure_lines') ~ ' * source_histories.line_expected'
        ) }} as member_ratio
    from members
    inner join source_histories
        on members.source = source_histories.source
    inner join histories
        on
            members.source = histories.source
            and members.dimension = histories.entity_type
            and histories.entity_id
            = case when members.member_key = -1 then 'unknown' else members.member_id end
    where members.member_key > -2

),

-- the history of a selection is that of its seller, else of its category, else of its marketplace
selected as (

    select
        *,
        case
            when seller_key <> 0 then 'seller'
            when category_key <> 0 then 'category'
            when marketplace_key <> 0 then 'marketplace'
            else 'all'
        end as history_of,
        case
            when seller_key <> 0 then seller_key
            when category_key <> 0 then category_key
            else marketplace_key
        end as history_key
    from summed

),

weighed as (

    select
        selected.*,
        coalesce(member_ratios.member_ratio, source_histories.source_ratio) as history_ratio,
        coalesce(prior_exposures.prior_exposure_lines, 0) as history_exposure,
        coalesce(prior_exposures.prior_exposure_lines * source_histories.line_expected, 0)
            as history_returns,
        dispersions.dispersion
    from selected
    left join source_histories
        on selected.source = source_histories.source
    left join member_ratios
        on
            selected.source = member_ratios.source
            and selected.history_of = member_ratios.dimension
            and selected.history_key = member_ratios.member_key
    -- sellers vary from month to month as categories do
    left join prior_exposures
        on
            selected.source = prior_exposures.source
            and prior_exposures.entity_type
            = case when selected.history_of = 'seller' then 'category' else selected.history_of end
    left join dispersions
        on selected.source = dispersions.source

),

ratios as (

    select
        *,
        {% for prefix in ['', 'prior_'] %}
        coalesce(
            {{ exposure_ratio(
                prefix ~ 'returned_lines', 'cast(' ~ prefix ~ 'expected_returns as double)',
                'history_ratio', 'history_returns'
            ) }},
            0
        ) as {{ prefix }}ratio,
        cast({{ prefix }}effective_exposure as double) as {{ prefix }}exposure,
        {% endfor %}
        comparable_lines as line_count,
        comparable_lines as denominator,
        returned_lines as numerator
    from weighed

),

-- what has come back is certain; the rest comes as it does for goods of this kind
remaining as (

    select
        *,
        ratio * cast(open_returns as double) as remaining,
        {% for prefix in ['', 'prior_'] %}
        least(
            1,
            (
                cast({{ prefix }}returned_lines as double)
                + {{ prefix }}ratio * cast({{ prefix }}open_returns as double)
            )
            / nullif(cast({{ prefix }}comparable_lines as double), 0)
        ) as {{ prefix }}rate,
        {% endfor %}
        least(
            1,
            ratio * cast(expected_returns + open_returns as double)
            / nullif(cast(comparable_lines as double), 0)
        ) as long_rate
    from ratios

),

compared as (

    select
        *,
        {{ projection_variance(
            'long_rate', 'denominator', 'exposure', 'history_exposure', 'cast(denominator as double)',
            'dispersion', 'cast(exposure_error as double)'
        ) }} as variance,
        rate - prior_rate as rate_change,
        {{ z }} * sqrt(
            rate * (1 - rate) / nullif(exposure, 0)
            + prior_rate * (1 - prior_rate) / nullif(prior_exposure, 0)
        ) as change_half_width
    from remaining

),

final as (

    select
        source,
        window_days,
        marketplace_key,
        seller_key,
        category_key,
        lines,
        comparable_lines,
        returned_lines,
        cast(effective_exposure as decimal(18, 6)) as effective_exposure,
        round(rate, 9) as projected_rate,
        case when comparable_lines > 0 then round({{ projected_bound('-') }}, 9) end
            as projected_lo,
        case when comparable_lines > 0 then round({{ projected_bound('+') }}, 9) end
            as projected_hi,
        prior_lines,
        prior_comparable_lines,
        prior_returned_lines,
        cast(prior_effective_exposure as decimal(18, 6)) as prior_effective_exposure,
        round(prior_rate, 9) as prior_projected_rate,
        round(rate_change, 9) as rate_change,
        round(rate_change - change_half_width, 9) as rate_change_lo,
        round(rate_change + change_half_width, 9) as rate_change_hi,
        round(history_ratio, 9) as history_ratio,
        round(history_returns, 6) as history_returns,
        as_of_date
    from compared

)

select * from final
