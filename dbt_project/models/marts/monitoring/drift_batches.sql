with features as (

    select * from {{ ref('drift_features') }}

),

judged as (

    select
        source,
        batch,
        max(classifier_auc) as classifier_auc,
        max(classifier_auc_lo) as classifier_auc_lo,
        max(classifier_auc_hi) as classifier_auc_hi
    from {{ ref('int_drift_judged') }}
    group by source, batch

),

monitors as (

    select * from {{ ref('policy_drift_monitors') }}

),

severities as (

    select * from {{ ref('policy_drift_severities') }}

),

return_costs as (

    select
        source,
        cast(return_cost_mid as double) / nullif(returns, 0) as cost_per_return
    from {{ ref('int_return_costs_by_entity') }}
    where entity_type = 'all' and priced_returns = returns

),

-- the feature that stands for each monitor: the first of its policy that is there
represented as (

    select
        features.source,
        features.batch,
        features.monitor,
        features.baseline_mean,
        features.current_mean,
        features.batch_lines,
        features.reference_lines,
        features.dispersion,
        monitors.unit,
        row_number() over (
            partition by features.source, features.batch, features.monitor
            order by
                case when features.current_mean is null then 1 else 0 end,
                monitors.monitor_rank,
                features.feature
        ) as monitor_choice
    from features
    inner join monitors
        on features.feature = monitors.feature

),

-- percent become shares
monitored as (

    select
        source,
        batch,
        {%- for monitor, column, units in [
            ('return rate', 'return_rate', "('share')"),
            ('discount abuse', 'average_discount', "('share')"),
            ('delivery time', 'delivery_days', "('days')"),
            ('satisfaction', 'average_rating', "('stars')"),
        ] %}
        max(
            case
                when monitor = '{{ monitor }}' and unit = 'percent' then current_mean / 100
                when monitor = '{{ monitor }}' and unit in {{ units }} then current_mean
            end
        ) as {{ column }},
        max(
            case
                when monitor = '{{ monitor }}' and unit = 'percent' then baseline_mean / 100
                when monitor = '{{ monitor }}' and unit in {{ units }} then baseline_mean
            end
        ) as baseline_{{ column }},
        {%- endfor %}
        -- a test of its own: of one rate, not of one feature among thousands
        max(
            case
                when monitor = 'return rate' and unit in ('share', 'percent')
                    then
                    sqrt(
                        greatest(1, coalesce(dispersion, 1))
                        * (1 / batch_lines + 1 / reference_lines)
                        * (current_mean * batch_lines + baseline_mean * reference_lines)
                        / (batch_lines + reference_lines)
                        / case unit when 'percent' then 100 else 1 end
                        * (
                            1
                            - (current_mean * batch_lines + baseline_mean * reference_lines)
                            / (batch_lines + reference_lines)
                            / case unit when 'percent' then 100 else 1 end
                        )
                    )
            end
        ) as return_rate_error
    from represented
    where monitor_choice = 1
    group by source, batch

),

ranked as (

    select
        *,
        row_number() over (
            partition by source, batch
            order by
                coalesce(drift_score, -1) desc,
                case when p_value is null then 1 else 0 end,
                coalesce(moved_share, 0) desc,
                feature
        ) as feature_rank,
        {{ cauchy_score('p_value') }} as cauchy_score
    from features

),

-- what a batch says as a whole
summed as (

    select
        source,
        batch,
        max(batch_grain) as batch_grain,
        max(batch_start) as batch_start,
        max(batch_end) as batch_end,
        max(batch_lines) as lines,
        cast(count(p_value) as bigint) as compared_features,
        cast(
            sum(
                case
                    when 100 * q_value <= {{ policy_value('drift_alpha_percent') }} then 1
                    else 0
                end
            ) as bigint
        ) as moved_features,
        {{ cauchy_p_value(
            '(cast(sum(' ~ exact('cauchy_score') ~ ') as double) / nullif(count(p_value), 0))'
        ) }} as p_value,
        max(drift_score) as drift_score,
        max(case when feature_rank = 1 and drift_score > 0 then feature end) as top_feature,
        max(case when feature_rank = 1 then reference end) as top_reference,
        max(case when feature_rank = 1 then severity end) as top_severity,
        max(case when feature_rank = 1 then sentence end) as top_sentence,
        max(case when feature_rank = 2 and drift_score > 0 then sentence end) as second_sentence,
        max(case when feature_rank = 3 and drift_score > 0 then sentence end) as third_sentence,
        max(as_of_date) as as_of_date
    from ranked
    group by source, batch

),

tested as (

    select
        summed.*,
        count(summed.p_value) over (partition by summed.source order by summed.p_value) as p_rank,
        count(summed.p_value) over (partition by summed.source) as family_size
    from summed

),

adjusted as (

    select
        *,
        case
            when p_value is not null
                then
                least(
                    1,
                    min(p_value * family_size / p_rank) over (
                        partition by source order by coalesce(p_value, 2) desc
                    )
                )
        end as q_value
    from tested

),

priced as (

    select
        adjusted.*,
        monitored.return_rate,
        monitored.baseline_return_rate,
        monitored.average_discount,
        monitored.baseline_average_discount,
        monitored.delivery_days,
        monitored.baseline_delivery_days,
        monitored.average_rating,
        monitored.baseline_average_rating,
        (monitored.return_rate - monitored.baseline_return_rate) * adjusted.lines as extra_returns,
        1.959963985 * monitored.return_rate_error * adjusted.lines as extra_returns_half,
        coalesce(
            return_costs.cost_per_return,
            cast({{ policy_value('drift_cost_per_return') }} as double)
        ) as cost_per_return,
        adjusted.top_severity as severity,
        severities.recommendation,
        severities.action_hours * cast({{ policy_value('drift_hour_cost') }} as double)
            as action_cost
    from adjusted
    left join monitored
        on
            adjusted.source = monitored.source
            and adjusted.batch = monitored.batch
    left join return_costs
        on adjusted.source = return_costs.source
    left join severities
        on adjusted.top_severity = severities.severity

),

-- what chance alone may move costs nothing
costed as (

    select
        *,
        {{ money(
            'case when extra_returns > extra_returns_half then extra_returns '
            ~ 'when extra_returns is not null then 0 end * cost_per_return'
        ) }} as extra_returns_cost
    from priced

),

final as (

    select
        priced.source,
        priced.batch,
        priced.batch_grain,
        priced.batch_start,
        priced.batch_end,
        priced.lines,
        priced.drift_score,
        priced.severity,
        priced.top_feature,
        case when priced.top_reference = 'none' then null else priced.top_reference end
            as reference,
        priced.compared_features,
        priced.moved_features,
        priced.p_value,
        priced.q_value,
        round(priced.return_rate, 9) as return_rate,
        round(priced.baseline_return_rate, 9) as baseline_return_rate,
        round(priced.average_discount, 9) as average_discount,
        round(priced.baseline_average_discount, 9) as baseline_average_discount,
        round(priced.delivery_days, 9) as delivery_days,
        round(priced.baseline_delivery_days, 9) as baseline_delivery_days,
        round(priced.average_rating, 9) as average_rating,
        round(priced.baseline_average_rating, 9) as baseline_average_rating,
        judged.classifier_auc,
        judged.classifier_auc_lo,
        judged.classifier_auc_hi,
        case
            when priced.top_severity = 'not judged'
                then 'Not judged: too few earlier weeks tell what is usual.'
            when priced.drift_score is null then concat('Not judged: ', priced.top_severity, '.')
            when priced.drift_score = 0
                then 'Nothing that matters moved beyond chance and quiet weeks.'
            else
                concat(
                    concat_ws(
                        '; ', priced.top_sentence, priced.second_sentence, priced.third_sentence
                    ),
                    '.'
                )
        end as sentence,
        {{ filled_in(
            'priced.recommendation', {'driver': "replace(priced.top_feature, '_', ' ')"}
        ) }} as recommendation,
        round(priced.extra_returns, 6) as extra_returns,
        round(priced.extra_returns - priced.extra_returns_half, 6) as extra_returns_lo,
        round(priced.extra_returns + priced.extra_returns_half, 6) as extra_returns_hi,
        priced.extra_returns_cost,
        {{ money('coalesce(priced.action_cost, 0)') }} as action_cost,
        cast(
            coalesce(priced.extra_returns_cost, 0)
            + {{ money('coalesce(priced.action_cost, 0)') }} as decimal(18, 4)
        ) as estimated_cost,
        priced.as_of_date
    from costed as priced
    inner join judged
        on
            priced.source = judged.source
            and priced.batch = judged.batch

)

select * from final
