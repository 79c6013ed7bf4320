{%- set parts = [
    'return_rate', 'trend', 'seller_risk', 'delivery', 'cancellations', 'high_risk_orders'
] -%}

with ordered as (

    select * from {{ ref('int_marketplace_orders') }}

),

assessed as (

    select * from {{ ref('int_risk_assessed') }} where entity_type = 'marketplace'

),

lines as (

    select * from {{ ref('int_risk_lines') }} where comparable_lines = 1

),

windows as (

    select * from {{ ref('policy_risk_windows') }} where compared_with = 'own past'

),

policies as (

    select
        {%- for part in parts %}
        max(case when part = '{{ part }}' then good end) as {{ part }}_good,
        max(case when part = '{{ part }}' then bad end) as {{ part }}_bad,
        max(case when part = '{{ part }}' then weight end) as {{ part }}_weight,
        {%- endfor %}
        count(*) as part_count
    from {{ ref('policy_health_parts') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

-- an order is as risky as its riskiest line
scored_orders as (

    select
        source,
        marketplace,
        order_id,
        min(age_days) as age_days,
        count(*) as scored_lines,
        sum(cast(return_probability as decimal(18, 9))) as risk_sum,
        max(case when risk_band = 'high' then 1 else 0 end) as is_high_risk
    from {{ ref('int_scored_lines') }}
    group by source, marketplace, order_id

),

predicted as (

    select
        scored_orders.source,
        scored_orders.marketplace,
        windows.window_days,
        count(*) as scored_orders,
        sum(scored_orders.is_high_risk) as high_risk_orders,
        cast(sum(scored_orders.risk_sum) as double) / sum(scored_orders.scored_lines)
            as average_predicted_risk
    from scored_orders
    inner join windows
        on scored_orders.age_days < windows.window_days
    group by scored_orders.source, scored_orders.marketplace, windows.window_days

),

-- the window of the same length before
previous as (

    select
        lines.source,
        lines.marketplace,
        windows.window_days,
        sum(lines.returned_lines) as previous_returned_lines,
        cast(sum(lines.maturity) as double) as previous_exposure
    from lines
    inner join windows
        on
            lines.age_days >= windows.window_days
            and lines.age_days < 2 * windows.window_days
    group by lines.source, lines.marketplace, windows.window_days

),

-- the rate of either window is held by what the marketplace's past leads one to expect
measured as (

    select
        ordered.*,
        assessed.comparable_lines,
        assessed.returned_lines,
        assessed.effective_exposure,
        assessed.shrunk_ratio,
        assessed.lo,
        assessed.hi,
        assessed.is_sufficient,
        assessed.expected_final / nullif(assessed.compared_lines, 0) as expected_rate,
        (
            previous.previous_returned_lines + {{ policy_value('case_mix_prior_lines') }}
            * assessed.expected_final / nullif(assessed.compared_lines, 0)
        )
        / (previous.previous_exposure + {{ policy_value('case_mix_prior_lines') }})
            as previous_rate,
        predicted.average_predicted_risk,
        predicted.high_risk_orders,
        predicted.scored_orders,
        cast(predicted.high_risk_orders as double) / predicted.scored_orders as high_risk_share
    from ordered
    left join assessed
        on
            ordered.source = assessed.source
            and ordered.marketplace = assessed.entity_id
            and ordered.window_days = assessed.window_days
    left join previous
        on
            ordered.source = previous.source
            and ordered.marketplace = previous.marketplace
            and ordered.window_days = previous.window_days
    left join predicted
        on
            ordered.source = predicted.source
            and ordered.marketplace = predicted.marketplace
            and ordered.window_days = predicted.window_days

),

-- a window that is too young to be judged is held at what is expected: that is no good mark
valued as (

    select
        -- what is known of a handful of lines says nothing of a marketplace
        {%- for part, events, lines in [
            ('seller_risk', 'flagged_seller_lines', 'seller_lines'),
            ('delivery', 'late_lines', 'delivery_lines'),
            ('cancellations', 'lost_lines', 'ordered_lines'),
            ('high_risk_orders', 'high_risk_orders', 'scored_orders'),
        ] %}
        case
            when {{ lines }} >= {{ policy_value('health_min_lines') }}
                then cast({{ events }} as double) / {{ lines }}
        end as {{ part }}_value,
        {%- endfor %}
        least(1, shrunk_ratio * expected_rate) as adjusted_rate,
        case when is_sufficient then shrunk_ratio end as return_rate_value,
        case when is_sufficient then shrunk_ratio * expected_rate / nullif(previous_rate, 0) end
            as trend_value,
        *
    from measured

),

scored as (

    select
        valued.*,
        {%- for part in parts %}
        100 * {{ health_share(part) }} as {{ part }}_score,
        case when valued.{{ part }}_value is not null then policies.{{ part }}_weight else 0 end
            as {{ part }}_weight,
        {%- endfor %}
        -- without a model there is no such part
        {%- for part in parts %}
        {{ '+ ' if not loop.first }}
        {%- if part == 'high_risk_orders' %}case
            when valued.scored_orders is not null then policies.{{ part }}_weight else 0
        end
        {%- else %}policies.{{ part }}_weight
        {%- endif %}
        {%- endfor %} as full_weight
    from valued
    cross join policies

),

weighed as (

    select
        *,
        {%- for part in parts %}
        {{ '+ ' if not loop.first }}{{ part }}_weight
        {%- endfor %} as known_weight
    from scored

),

judged as (

    select
        *,
        100 * known_weight >= {{ policy_value('health_min_weight_percent') }} * full_weight
            as has_score
    from weighed

),

final as (

    select
        judged.source,
        judged.marketplace,
        judged.window_days,
        sources.reporting_currency as currency,
        judged.orders,
        judged.sellers,
        judged.lines,
        judged.net_amount,
        coalesce(judged.returned_lines, 0) as returned_lines,
        coalesce(judged.comparable_lines, 0) as compared_lines,
        round(coalesce(judged.effective_exposure, 0), 6) as effective_exposure,
        case
            when judged.comparable_lines > 0
                then round(cast(judged.returned_lines as double) / judged.comparable_lines, 9)
        end as observed_rate,
        round(judged.adjusted_rate, 9) as adjusted_rate,
        round(least(1, judged.lo * judged.expected_rate), 9) as adjusted_rate_lo,
        round(least(1, judged.hi * judged.expected_rate), 9) as adjusted_rate_hi,
        round(judged.expected_rate, 9) as expected_rate,
        round(judged.previous_rate, 9) as previous_rate,
        case
            when not coalesce(judged.is_sufficient, false) then 'insufficient data'
            when judged.lo > 1 then 'rising'
            when judged.hi < 1 then 'falling'
            else 'steady'
        end as trend,
        round(judged.average_predicted_risk, 9) as average_predicted_risk,
        round(judged.high_risk_share, 9) as high_risk_share,
        {%- for part in parts %}
        round(judged.{{ part }}_value, 9) as {{ part }}_value,
        round(judged.{{ part }}_score, 6) as {{ part }}_score,
        cast(judged.{{ part }}_weight as bigint) as {{ part }}_weight,
        {%- endfor %}
        case
            when judged.has_score
                then
                round(
                    (
                        {%- for part in parts %}
                        {{ '+ ' if not loop.first }}coalesce(
                            round(judged.{{ part }}_score, 6), 0
                        ) * judged.{{ part }}_weight
                        {%- endfor %}
                    )
                    / judged.known_weight,
                    6
                )
        end as health_score,
        case
            when not judged.has_score
                then 'Too few lines to judge parts that make up half of the score'
        end as insufficient_reason,
        sources.as_of_date
    from judged
    inner join sources
        on judged.source = sources.source

)

select * from final
