with judged as (

    select * from {{ ref('int_drift_judged') }}

),

monitors as (

    select * from {{ ref('policy_drift_monitors') }}

),

severities as (

    select * from {{ ref('policy_drift_severities') }}

),

-- lines of 100 that would have to be others, where that is beyond chance and beyond quiet windows
scored as (

    select
        judged.*,
        coalesce(monitors.label, replace(judged.feature, '_', ' ')) as label,
        case
            when monitors.unit is not null then monitors.unit
            when judged.feature like '%_share' or judged.feature like '%_rate' then 'share'
            else 'number'
        end as unit,
        case
            when judged.p_value is null then null
            when 100 * judged.q_value > {{ policy_value('drift_alpha_percent') }} then 0
            else round(100 * judged.importance * judged.excess_share, 3)
        end as drift_score
    from judged
    left join monitors
        on judged.feature = monitors.feature

),

graded as (

    select
        scored.source,
        scored.batch,
        scored.feature,
        min(severities.severity_rank) as severity_rank
    from scored
    inner join severities
        on scored.drift_score >= severities.score_min
    group by scored.source, scored.batch, scored.feature

),

final as (

    select
        scored.source,
        scored.batch,
        scored.feature,
        scored.batch_grain,
        scored.batch_start,
        scored.batch_end,
        scored.kind,
        scored.monitor,
        scored.reference,
        scored.outcome,
        scored.batch_lines,
        scored.reference_lines,
        round(scored.baseline_mean, 9) as baseline_mean,
        round(scored.current_mean, 9) as current_mean,
        round(scored.baseline_missing_share, 9) as baseline_missing_share,
        round(scored.current_missing_share, 9) as current_missing_share,
        round(scored.unseen_share, 9) as unseen_share,
        round(scored.psi, 12) as psi,
        round(scored.psi_corrected, 12) as psi_corrected,
        scored.psi_p_value,
        round(scored.chi_square, 9) as chi_square,
        scored.chi_square_df,
        round(scored.ks_statistic, 12) as ks_statistic,
        scored.ks_p_value,
        round(scored.js_distance, 12) as js_distance,
        round(scored.cramers_v, 12) as cramers_v,
        round(scored.wasserstein, 12) as wasserstein,
        round(scored.moved_share, 9) as moved_share,
        round(scored.quiet_limit, 9) as quiet_limit,
        round(scored.dispersion, 6) as dispersion,
        cast(scored.quiet_windows as bigint) as quiet_windows,
        round(scored.excess_share, 9) as excess_share,
        round(scored.importance, 6) as importance,
        scored.p_value,
        scored.q_value,
        scored.drift_score,
        case
            when scored.drift_score is not null then severities.severity
            when scored.outcome = 'compared' then 'not judged'
            else scored.outcome
        end as severity,
        case
            when scored.outcome = 'disappeared'
                then concat(scored.label, ' is missing in every line')
            when scored.outcome = 'type changed'
                then concat(scored.label, ' has values of another type, none can be compared')
            when scored.outcome = 'appeared'
                then concat(scored.label, ' was missing before and is there now')
            when scored.outcome <> 'compared' then concat(scored.label, ': ', scored.outcome)
            when scored.kind = 'category' and scored.unseen_share >= 0.005
                then
                concat(
                    scored.label, ': ', {{ percent_text('scored.unseen_share') }},
                    ' % of lines in values never seen before, ',
                    {{ percent_text('scored.moved_share') }}, ' % moved'
                )
            when
                scored.kind = 'category'
                then
                concat(scored.label, ': ', {{ percent_text('scored.moved_share') }}, ' % moved')
            when
                abs(scored.current_missing_share - scored.baseline_missing_share) >= 0.05
                then
                concat(
                    scored.label, ' missing ', {{ percent_text('scored.baseline_missing_share') }},
                    ' % → ', {{ percent_text('scored.current_missing_share') }}, ' %'
                )
            else
                concat(
                    scored.label, ' ', {{ drift_text('scored.baseline_mean') }}, ' → ',
                    {{ drift_text('scored.current_mean') }},
                    case scored.unit when 'days' then ' days' when 'stars' then ' stars' else '' end
                )
        end as sentence,
        scored.as_of_date
    from scored
    left join graded
        on
            scored.source = graded.source
            and scored.batch = graded.batch
            and scored.feature = graded.feature
    left join severities
        on graded.severity_rank = severities.severity_rank

)

select * from final
