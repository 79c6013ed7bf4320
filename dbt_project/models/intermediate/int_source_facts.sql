-- What each source brings: a count and its share of all order lines (or returns), one row per fact.

with sources as (

    select * from {{ ref('int_sources') }}

),

order_lines as (

    select * from {{ ref('order_lines') }}

),

returns as (

    select * from {{ ref('returns') }}

),

orders as (

    select * from {{ ref('orders') }}

),

products as (

    select * from {{ ref('products') }}

),

rates as (

    select * from {{ ref('int_return_cost_rates') }}

),

-- replayed days that know a curve
curves as (

    select
        curves.source,
        count(distinct case when as_of_dates.is_month_end then curves.as_of_date end)
            as month_ends_with_curve
    from {{ ref('int_completion_curves') }} as curves
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on
            curves.source = as_of_dates.source
            and curves.as_of_date = as_of_dates.as_of_date
    where curves.level = 0 and curves.age_days = 0
    group by curves.source

),

-- days whose customers could be clustered
segment_fits as (

    select
        source,
        count(distinct as_of_date) as days_with_segments
    from {{ ref('int_segment_clusters') }}
    group by source

),

comparisons as (

    select * from {{ ref('int_comparisons_dated') }}

),

cut_off_facts as (

    select
        source,
        sum(case when is_tested then 1 else 0 end) as tested_cut_offs
    from {{ ref('int_cut_offs') }}
    group by source

),

model_facts as (

    select
        source,
        sum(case when name = 'is_champion' and task = 'churn' then 1 else 0 end) as models_of_churn,
        sum(case when name = 'is_champion' and task = 'value' then 1 else 0 end) as models_of_value,
        sum(case when name = 'has_signal' then 1 else 0 end) as return_models_with_signal
    from {{ ref('int_model_records') }}
    where record = 'run' and name in ('is_champion', 'has_signal') and value = 1
    group by source

),

-- a seller that can be judged in some window
seller_facts as (

    select
        source,
        count(distinct entity_id) as sellers,
        count(distinct case when is_sufficient then entity_id end) as judged_sellers
    from {{ ref('int_risk_assessed') }}
    where entity_type = 'seller'
    group by source

),

alert_facts as (

    select
        source,
        count(distinct case when family <> 'monitoring' then week_no end) as weeks_with_candidates,
        count(distinct case when monitor = 'drift' then week_no end) as weeks_watched_for_drift,
        count(distinct case when monitor = 'labels' then week_no end) as weeks_watched_for_delay,
        count(distinct case when monitor = 'calibration' then week_no end)
            as weeks_watched_for_calibration
    from {{ ref('int_alert_tests') }}
    group by source

),

score_facts as (

    select
        source,
        count(*) as scored_lines
    from {{ ref('int_scored_lines') }}
    group by source

),

order_facts as (

    select
        source,
        sum(line_count) as lines_of_unambiguous_orders
    from orders
    where not is_ambiguous
    group by source

),

line_facts as (

    select
        source,
        count(*) as order_lines,
        count(customer_id) as lines_with_customer,
        count(seller_id) as lines_with_seller,
        count(marketplace) as lines_with_marketplace,
        count(category) as lines_with_category,
        count(country) as lines_with_country,
        count(channel) as lines_with_channel,
        sum(case when is_mature then 1 else 0 end) as mature_lines,
        sum(
            case when return_class in ('returned', 'kept', 'open') or not is_sale then 1 else 0 end
        ) as lines_with_known_return
    from order_lines
    group by source

),

return_facts as (

    select
        source,
        count(*) as returns,
        count(order_line_id) as matched_returns,
        count(returned_at) as dated_returns
    from returns
    group by source

),

product_facts as (

    select
        order_lines.source,
        count(products.unit_cost) as lines_with_unit_cost
    from order_lines
    inner join products
        on
            order_lines.source = products.source
            and order_lines.product_id = products.product_id
    group by order_lines.source

),

rate_facts as (

    select
        source,
        sum(case when has_rates then line_count else 0 end) as lines_with_cost_rates
    from rates
    group by source

),

comparison_facts as (

    select
        source,
        count(*) as comparisons,
        sum(case when is_covered then 1 else 0 end) as covered_comparisons
    from comparisons
    group by source

),

joined as (

    select
        sources.source,
        {%- for fact in [
            'order_lines', 'lines_with_customer', 'lines_with_seller', 'lines_with_marketplace',
            'lines_with_category', 'lines_with_country', 'lines_with_channel', 'mature_lines',
            'lines_with_known_return',
        ] %}
        coalesce(line_facts.{{ fact }}, 0) as {{ fact }},
        {%- endfor %}
        case when sources.has_returns then coalesce(line_facts.order_lines, 0) else 0 end
            as lines_with_traceable_returns,
        coalesce(comparison_facts.comparisons, 0) as comparisons,
        coalesce(comparison_facts.covered_comparisons, 0) as covered_comparisons,
        coalesce(order_facts.lines_of_unambiguous_orders, 0) as lines_of_unambiguous_orders,
        coalesce(return_facts.returns, 0) as returns,
        coalesce(return_facts.matched_returns, 0) as matched_returns,
        coalesce(return_facts.dated_returns, 0) as dated_returns,
        case when curves.source is not null then return_facts.dated_returns else 0 end
            as returns_with_curve,
        coalesce(product_facts.lines_with_unit_cost, 0) as lines_with_unit_cost,
        coalesce(rate_facts.lines_with_cost_rates, 0) as lines_with_cost_rates,
        case
            when sources.has_returns or return_facts.returns > 0
                then coalesce(line_facts.order_lines, 0)
            else 0
        end as lines_with_recorded_returns,
        coalesce(
            least(
                {{ days_between('sources.first_event_date', 'sources.as_of_date') }} + 1,
                {{ policy_value('completion_max_age_days') }}
            ),
            0
        ) as days_of_history,
        coalesce(curves.month_ends_with_curve, 0) as month_ends_with_curve,
        coalesce(cut_off_facts.tested_cut_offs, 0) as tested_cut_offs,
        coalesce(model_facts.models_of_churn, 0) as models_of_churn,
        coalesce(model_facts.models_of_value, 0) as models_of_value,
        coalesce(model_facts.return_models_with_signal, 0) as return_models_with_signal,
        coalesce(seller_facts.sellers, 0) as sellers,
        coalesce(seller_facts.judged_sellers, 0) as judged_sellers,
        coalesce(segment_fits.days_with_segments, 0) as days_with_segments,
        coalesce(score_facts.scored_lines, 0) as scored_lines,
        coalesce(alert_facts.weeks_with_candidates, 0) as weeks_with_candidates,
        coalesce(alert_facts.weeks_watched_for_drift, 0) as weeks_watched_for_drift,
        coalesce(alert_facts.weeks_watched_for_delay, 0) as weeks_watched_for_delay,
        coalesce(alert_facts.weeks_watched_for_calibration, 0) as weeks_watched_for_calibration
    from sources
    left join line_facts
        on sources.source = line_facts.source
    left join order_facts
        on sources.source = order_facts.source
    left join comparison_facts
        on sources.source = comparison_facts.source
    left join return_facts
        on sources.source = return_facts.source
    left join curves
        on sources.source = curves.source
    left join product_facts
        on sources.source = product_facts.source
    left join rate_facts
        on sources.source = rate_facts.source
    left join cut_off_facts
        on sources.source = cut_off_facts.source
    left join model_facts
        on sources.source = model_facts.source
    left join seller_facts
        on sources.source = seller_facts.source
    left join segment_fits
        on sources.source = segment_fits.source
    left join score_facts
        on sources.source = score_facts.source
    left join alert_facts
        on sources.source = alert_facts.source

),

final as (

    {%- for fact in [
        'order_lines', 'lines_with_customer', 'lines_with_seller', 'lines_with_marketplace',
        'lines_with_category', 'lines_with_country', 'lines_with_channel', 'mature_lines',
        'lines_with_known_return', 'lines_with_traceable_returns', 'covered_comparisons',
        'lines_of_unambiguous_orders', 'returns', 'matched_returns', 'dated_returns',
        'returns_with_curve', 'lines_with_unit_cost', 'lines_with_cost_rates',
        'lines_with_recorded_returns', 'days_of_history', 'month_ends_with_curve',
        'tested_cut_offs', 'models_of_churn', 'models_of_value', 'return_models_with_signal',
        'judged_sellers', 'scored_lines', 'days_with_segments',
        'weeks_with_candidates', 'weeks_watched_for_drift', 'weeks_watched_for_delay',
        'weeks_watched_for_calibration',
    ] %}
    {%- if fact == 'days_of_history' %}
    {%- set total = policy_value('completion_max_age_days') %}
    {%- elif fact == 'month_ends_with_curve' %}
    {%- set total = policy_value('replay_months') %}
    {%- elif fact.startswith('weeks_w') %}
    {%- set total = '(' ~ policy_value('alert_replay_weeks') ~ ')' %}
    {%- elif fact == 'days_with_segments' %}
    {%- set total = '(' ~ policy_value('replay_months') ~ ' + 1)' %}
    {%- elif fact == 'tested_cut_offs' %}
    {%- set total = policy_value('churn_test_cut_offs') %}
    {%- elif fact in ['models_of_churn', 'models_of_value', 'return_models_with_signal'] %}
    {%- set total = '1' %}
    {%- elif fact in ['matched_returns', 'dated_returns', 'returns_with_curve'] %}
    {%- set total = 'returns' %}
    {%- elif fact == 'covered_comparisons' %}
    {%- set total = 'comparisons' %}
    {%- elif fact == 'judged_sellers' %}
    {%- set total = 'sellers' %}
    {%- else %}
    {%- set total = 'order_lines' %}
    {%- endif %}

    select
        source,
        '{{ fact }}' as fact,
        {{ fact }} as fact_count,
        case
            when {{ total }} > 0 then cast({{ fact }} as double) / {{ total }}
            -- of no returns none lacks its date or its sale
            else {{ 1 if fact in ['matched_returns', 'dated_returns'] else 0 }}
        end as fact_share
    from joined
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

)

select * from final
