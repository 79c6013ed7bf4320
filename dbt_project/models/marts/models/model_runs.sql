with records as (

    select * from {{ ref('int_model_records') }} where record in ('run', 'parameter')

),

cut_offs as (

    select * from {{ ref('int_cut_offs') }} where is_current

),

-- a rule is not beaten by a draw: the interval of the gain has to exclude it
gains as (

    select
        source,
        task,
        model,
        min(value) > 0 as beats_baselines,
        min(lo) > 0 as beats_baselines_surely
    from {{ ref('int_model_records') }}
    where record = 'metric' and name in ('pr_auc_gain_over_recency', 'pr_auc_gain_over_p_alive')
    group by source, task, model

),

runs as (

    select
        source,
        task,
        model,
        trained_on,
        max(slice_id) as version,
        max(case when name = 'status' then detail end) as status,
        min(case when name = 'reason' then detail end) as first_reason,
        max(case when name = 'reason' then detail end) as last_reason,
        max(case when name = 'is_champion' then value end) = 1 as is_champion,
        {{ parameter_columns([
            'fit_rows', 'fit_positives', 'calibration_rows', 'calibration_positives',
            'calibration_intercept', 'calibration_slope', 'scale', 'intercept', 'has_signal',
        ]) }},
        max(case when name = 'fit_from' then cast(detail as date) end) as fit_from,
        max(case when name = 'fit_to' then cast(detail as date) end) as fit_to,
        max(case when name = 'calibrated_on' then cast(detail as date) end) as calibrated_on,
        max(case when name = 'features' then detail end) as features,
        max(case when name = 'parameters' then detail end) as parameters,
        max(case when name = 'libraries' then detail end) as libraries,
        max(case when name = 'return_window_days' then cast(detail as bigint) end)
            as return_window_days,
        max(case when name = 'training_fingerprint' then detail end) as training_fingerprint,
        max(case when name = 'model_sha256' then detail end) as model_sha256
    from records
    group by source, task, model, trained_on

),

final as (

    select
        runs.source,
        runs.task,
        runs.model,
        runs.trained_on,
        coalesce(runs.version, runs.model || '@' || cast(runs.trained_on as string))
            as model_version,
        runs.status,
        -- what a test found, and why a new model was or was not taken
        case
            when runs.first_reason <> runs.last_reason
                then concat(runs.first_reason, '; ', runs.last_reason)
            else runs.last_reason
        end as reason,
        coalesce(runs.is_champion, false) as is_champion,
        case when runs.trained_on = cut_offs.as_of_date then gains.beats_baselines end
            as beats_baselines,
        case when runs.trained_on = cut_offs.as_of_date then gains.beats_baselines_surely end
            as beats_baselines_surely,
        case
            when runs.task = 'churn' then cut_offs.horizon_days
            when runs.task = 'value' then cut_offs.holdout_days
            when runs.task = 'return' then runs.return_window_days
        end as horizon_days,
        cast(runs.fit_rows as bigint) as fit_rows,
        cast(runs.fit_positives as bigint) as fit_positives,
        runs.fit_from,
        runs.fit_to,
        cast(runs.calibration_rows as bigint) as calibration_rows,
        cast(runs.calibration_positives as bigint) as calibration_positives,
        runs.calibrated_on,
        runs.calibration_intercept,
        runs.calibration_slope,
        runs.scale,
        runs.intercept,
        runs.has_signal = 1 as has_signal,
        runs.features,
        runs.parameters,
        runs.libraries,
        runs.training_fingerprint,
        runs.model_sha256,
        cut_offs.as_of_date
    from runs
    inner join cut_offs
        on runs.source = cut_offs.source
    left join gains
        on
            runs.source = gains.source
            and runs.task = gains.task
            and runs.model = gains.model

)

select * from final
