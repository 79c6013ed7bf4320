{%- set z = interval_z() -%}

with sales as (

    select * from {{ ref('rpt_sales') }}

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
        sales.effective_exposure,
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
        sum(case when {{ condition }} then effective_exposure else 0 end)
            as {{ prefix }}effective_exposure,
        {% endfor %}
        max(as_of_date) as as_of_date
    from windowed
    group by
        source,
        window_days,
        cube(marketplace_key, seller_key, category_key)

),

-- returns so far over effective exposure; more have come back than exposure says only by chance
rated as (

    select
        *,
        {% for prefix in ['', 'prior_'] %}
        cast({{ prefix }}effective_exposure as double) as {{ prefix }}exposure,
        least(
            1,
            cast({{ prefix }}returned_lines as double)
            / nullif(cast({{ prefix }}effective_exposure as double), 0)
        ) as {{ prefix }}rate,
        {% endfor %}
        {{ z }} as z
    from summed

),

compared as (

    select
        *,
        rate - prior_rate as rate_change,
        z * sqrt(
            rate * (1 - rate) / nullif(exposure, 0)
            + prior_rate * (1 - prior_rate) / nullif(prior_exposure, 0)
        ) as change_half_width
    from rated

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
        round(rate, 9) as adjusted_rate,
        case when exposure > 0 then round({{ wilson('rate * exposure', 'exposure', '-z') }}, 9) end
            as rate_lo,
        case when exposure > 0 then round({{ wilson('rate * exposure', 'exposure', 'z') }}, 9) end
            as rate_hi,
        prior_lines,
        prior_comparable_lines,
        prior_returned_lines,
        cast(prior_effective_exposure as decimal(18, 6)) as prior_effective_exposure,
        round(prior_rate, 9) as prior_adjusted_rate,
        round(rate_change, 9) as rate_change,
        round(rate_change - change_half_width, 9) as rate_change_lo,
        round(rate_change + change_half_width, 9) as rate_change_hi,
        as_of_date
    from compared

)

select * from final
