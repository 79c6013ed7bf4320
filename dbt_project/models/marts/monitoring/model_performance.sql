{#- Per metric: the estimate and half the width of its interval; what was realised and the ends of
    its interval; the rows it rests on; when there is an estimate, and when something realised. -#}
{% set correct = '(true_positives + line_count - said_count - (positives - true_positives))' -%}
{% set named = '(said_count + positives - true_positives)' -%}
{% set hits = '(true_positives / dispersion)' -%}
{% set metrics = {
    'roc_auc': [
        'expected_auc', 'expected_auc_half',
        'roc_auc', 'roc_auc - roc_auc_half', 'roc_auc + roc_auc_half',
        'line_count', 'pairs > 0.5', 'roc_auc_half is not null',
    ],
    'accuracy': [
        '(said_expected + expected_negatives - said_negatives) / line_count',
        'half_z * sqrt(spread) / line_count',
        'cast(' ~ correct ~ ' as double) / line_count',
        wilson('(' ~ correct ~ ' / dispersion)', '(line_count / dispersion)', '(-z)'),
        wilson('(' ~ correct ~ ' / dispersion)', '(line_count / dispersion)', 'z'),
        'line_count', 'true', 'true',
    ],
    'precision': [
        'said_expected / said_count',
        'half_z * sqrt(said_spread) / said_count',
        'cast(true_positives as double) / said_count',
        wilson(hits, '(said_count / dispersion)', '(-z)'),
        wilson(hits, '(said_count / dispersion)', 'z'),
        'said_count', 'said_count > 0', 'said_count > 0',
    ],
    'recall': [
        'said_expected / expected',
        'half_z * sqrt(missed_expected * missed_expected * said_spread'
        ~ ' + said_expected * said_expected * (spread - said_spread)) / power(expected, 2)',
        'cast(true_positives as double) / positives',
        wilson(hits, '(positives / dispersion)', '(-z)'),
        wilson(hits, '(positives / dispersion)', 'z'),
        'line_count', 'true', 'positives > 0',
    ],
    'f1': [
        '2 * said_expected / (said_count + expected)',
        'half_z * 2 * sqrt(power(said_count + missed_expected, 2) * said_spread'
        ~ ' + said_expected * said_expected * (spread - said_spread))'
        ~ ' / power(said_count + expected, 2)',
        '2 * cast(true_positives as double) / (said_count + positives)',
        '2 * ' ~ wilson(hits, '(' ~ named ~ ' / dispersion)', '(-z)')
        ~ ' / (1 + ' ~ wilson(hits, '(' ~ named ~ ' / dispersion)', '(-z)') ~ ')',
        '2 * ' ~ wilson(hits, '(' ~ named ~ ' / dispersion)', 'z')
        ~ ' / (1 + ' ~ wilson(hits, '(' ~ named ~ ' / dispersion)', 'z') ~ ')',
        'line_count', 'true', 'positives > 0',
    ],
    'brier': [
        'spread / line_count',
        'half_z * sqrt(brier_variance) / line_count',
        'brier / line_count',
        'brier / line_count - half_z * sqrt(greatest(0, brier_squares / line_count'
        ~ ' - power(brier / line_count, 2)) / line_count)',
        'brier / line_count + half_z * sqrt(greatest(0, brier_squares / line_count'
        ~ ' - power(brier / line_count, 2)) / line_count)',
        'line_count', 'true', 'true',
    ],
    'log_loss': [
        'expected_log_loss / line_count',
        'half_z * sqrt(log_loss_variance) / line_count',
        'log_loss / line_count',
        'log_loss / line_count - half_z * sqrt(greatest(0, log_loss_squares / line_count'
        ~ ' - power(log_loss / line_count, 2)) / line_count)',
        'log_loss / line_count + half_z * sqrt(greatest(0, log_loss_squares / line_count'
        ~ ' - power(log_loss / line_count, 2)) / line_count)',
        'line_count', 'true', 'true',
    ],
    'base_rate': [
        'expected / line_count',
        'half_z * sqrt(spread) / line_count',
        'cast(positives as double) / line_count',
        wilson('(positives / dispersion)', '(line_count / dispersion)', '(-z)'),
        wilson('(positives / dispersion)', '(line_count / dispersion)', 'z'),
        'line_count', 'true', 'true',
    ],
} -%}

with figures as (

    select
        *,
        returned_so_far / nullif(expected_so_far, 0) as observed_to_expected,
        expected_so_far >= {{ policy_value('performance_min_expected_returns') }} as is_told
    from {{ ref('int_performance_figures') }}

),

-- are the probabilities right, going by what has come back so far
calibrated as (

    select
        *,
        case
            when not is_told then 'too early'
            when
                100 * (observed_to_expected - ratio_half)
                > 100 + {{ policy_value('performance_calibration_percent') }}
                then 'too low'
            when
                100 * (observed_to_expected + ratio_half)
                < 100 - {{ policy_value('performance_calibration_percent') }}
                then 'too high'
            else 'as said'
        end as calibration_status
    from figures

),

listed as (

    {%- for metric, parts in metrics.items() %}

    select
        source,
        period_grain,
        period_start,
        period_end,
        entity_type,
        entity_id,
        '{{ metric }}' as metric,
        {{ parts[0] }} as estimated,
        {{ parts[1] }} as estimated_half,
        case when is_mature and {{ parts[7] }} then {{ parts[2] }} end as realised,
        case when is_mature and {{ parts[7] }} then {{ parts[3] }} end as realised_lo,
        case when is_mature and {{ parts[7] }} then {{ parts[4] }} end as realised_hi,
        {{ parts[5] }} as n,
        line_count,
        known_count,
        returned_so_far,
        expected_so_far,
        observed_to_expected,
        ratio_half,
        calibration_status,
        is_mature,
        as_of_date
    from calibrated
    where {{ parts[6] }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

bounded as (

    select
        source,
        period_grain,
        period_start,
        period_end,
        entity_type,
        entity_id,
        metric,
        estimated,
        {%- for side, sign in {'lo': '-', 'hi': '+'}.items() %}
        case
            when estimated + estimated_half is null then null
            when metric = 'log_loss' then greatest(0, estimated {{ sign }} estimated_half)
            else greatest(0, least(1, estimated {{ sign }} estimated_half))
        end as estimated_{{ side }},
        {%- endfor %}
        realised,
        {%- for side in ['lo', 'hi'] %}
        case
            when realised_{{ side }} is null then null
            when metric = 'log_loss' then greatest(0, realised_{{ side }})
            else greatest(0, least(1, realised_{{ side }}))
        end as realised_{{ side }},
        {%- endfor %}
        realised - estimated as realised_minus_estimated,
        abs(realised - estimated) <= estimated_half as is_as_estimated,
        cast(n as bigint) as n,
        is_mature,
        line_count as lines,
        known_count as known_lines,
        returned_so_far as observed_returns,
        round(expected_so_far, 6) as expected_returns,
        observed_to_expected,
        case
            when observed_to_expected is not null
                then greatest(0, observed_to_expected - ratio_half)
        end as observed_to_expected_lo,
        observed_to_expected + ratio_half as observed_to_expected_hi,
        calibration_status,
        case
            when
                calibration_status = 'as said'
                and abs(observed_to_expected - 1) > ratio_half
                then
                concat(
                    'Holds nearly: somewhat ',
                    case when observed_to_expected > 1 then 'more' else 'less' end,
                    ' has come back than the probabilities said (',
                    case when observed_to_expected > 1 then '+' else '-' end,
                    {{ percent_text('abs(observed_to_expected - 1)') }},
                    ' %), yet not surely by more'
                    || ' than is tolerated. Other orders than usual are allowed for; a changed'
                    || ' behaviour of the same orders is not seen until outcomes are known.'
                )
            when calibration_status = 'as said'
                then
                'Holds: what has come back so far is what the probabilities said. Other orders'
                || ' than usual are allowed for; a changed behaviour of the same orders is not'
                || ' seen until outcomes are known.'
            when calibration_status = 'too early'
                then
                'Holds if the probabilities are right, which too few returns tell yet. Other'
                || ' orders than usual are allowed for; a changed behaviour of the same orders'
                || ' is not seen.'
            else
                'Does not hold: '
                || case calibration_status when 'too low' then 'more' else 'less' end
                || ' has come back than the probabilities said, so level or behaviour have'
                || ' changed, which no estimate without outcomes can see.'
        end as condition,
        as_of_date
    from listed

),

-- of the periods whose outcomes are known by now, how many the interval held
held as (

    select
        *,
        sum(case when is_as_estimated is not null then 1 else 0 end) over (
            partition by source, period_grain, entity_type, entity_id, metric
        ) as known_periods,
        sum(case when is_as_estimated then 1 else 0 end) over (
            partition by source, period_grain, entity_type, entity_id, metric
        ) as held_periods
    from bounded

),

final as (

    select
        source,
        period_grain,
        period_start,
        period_end,
        entity_type,
        entity_id,
        metric,
        estimated,
        estimated_lo,
        estimated_hi,
        realised,
        realised_lo,
        realised_hi,
        realised_minus_estimated,
        is_as_estimated,
        n,
        is_mature,
        lines,
        known_lines,
        observed_returns,
        expected_returns,
        observed_to_expected,
        observed_to_expected_lo,
        observed_to_expected_hi,
        calibration_status,
        cast(known_periods as bigint) as known_periods,
        cast(held_periods as bigint) as held_periods,
        concat(
            condition,
            ' Its interval allows for chance, not for probabilities that are off',
            case
                when known_periods = 0 then concat('; no ', period_grain, ' is known yet.')
                else
                    concat(
                        ': it held ', cast(held_periods as string), ' of ',
                        cast(known_periods as string), ' known ', period_grain, 's.'
                    )
            end
        ) as condition,
        as_of_date
    from held

)

select * from final
