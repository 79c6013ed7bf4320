-- How often the alarms of this warehouse go off: on draws of its own quiet lines, on its past
-- weeks, and after shifts that are injected into those draws.

with statistics as (

    select * from {{ ref('int_drift_statistics') }} where reference = 'pool'

),

features as (

    select * from {{ ref('drift_features') }} where batch_grain = 'week'

),

batches as (

    select * from {{ ref('drift_batches') }} where batch_grain = 'week'

),

limits as (

    select
        cast({{ policy_value('drift_alpha_percent') }} as double) / 100 as alpha,
        {{ policy_value('drift_quiet_windows') }} as quiet_windows,
        1.959963985 as z

),

scores as (

    select
        severity,
        score_min
    from {{ ref('policy_drift_severities') }}
    where severity in ('watch', 'warning')

),

-- the features of one draw as a whole: the Cauchy combination, as in drift_batches
draws as (

    select
        source,
        batch,
        count(psi_p_value) as compared_features,
        cast(
            sum(
                {{ exact(cauchy_score('psi_p_value')) }}
            ) as double
        ) / nullif(count(psi_p_value), 0) as score
    from statistics
    where batch like 'resample %'
    group by source, batch

),

shifts as (

    {%- for shift in drift_shifts() %}

    select
        source,
        '{{ shift.shift }}' as tested,
        psi_p_value
    from statistics
    where batch like '{{ shift.period_grain }} %' and feature = '{{ shift.feature }}'
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- a shift has to stand out among all features of its batch
families as (

    select
        source,
        max(compared_features) as features
    from draws
    group by source

),

-- what a critical week brings, late deliveries and low ratings, comes in the weeks after it
critical as (

    select
        source,
        batch_start,
        {{ policy_value('drift_delivery_wait_days') }} as wait_days
    from batches
    where severity = 'critical'

),

quiet as (

    select
        batches.source,
        batches.batch
    from batches
    left join critical
        on
            batches.source = critical.source
            and {{ days_between('critical.batch_start', 'batches.batch_start') }}
            between 0 and critical.wait_days
    where critical.source is null
    group by batches.source, batches.batch

),

tried as (

    select
        statistics.source,
        'quiet draws' as tried_on,
        'a feature' as tested,
        case when statistics.psi_p_value <= limits.alpha then 1 else 0 end as is_alarm
    from statistics
    cross join limits
    where statistics.batch like 'resample %' and statistics.psi_p_value is not null

    union all

    select
        draws.source,
        'quiet draws' as tried_on,
        'a batch as a whole' as tested,
        case when {{ cauchy_p_value('draws.score') }} <= limits.alpha then 1 else 0 end as is_alarm
    from draws
    cross join limits
    where draws.compared_features > 0

    union all

    select
        shifts.source,
        'injected shift' as tried_on,
        shifts.tested,
        case when shifts.psi_p_value <= limits.alpha / families.features then 1 else 0 end
            as is_alarm
    from shifts
    inner join families
        on shifts.source = families.source
    cross join limits
    where shifts.psi_p_value is not null

    union all

    select
        features.source,
        'quiet weeks' as tried_on,
        'a feature' as tested,
        case when features.p_value <= limits.alpha then 1 else 0 end as is_alarm
    from features
    inner join quiet
        on
            features.source = quiet.source
            and features.batch = quiet.batch
    cross join limits
    where features.p_value is not null and features.quiet_windows >= limits.quiet_windows

    union all

    select
        batches.source,
        'quiet weeks' as tried_on,
        'a batch as a whole' as tested,
        case when batches.p_value <= limits.alpha then 1 else 0 end as is_alarm
    from batches
    inner join quiet
        on
            batches.source = quiet.source
            and batches.batch = quiet.batch
    cross join limits
    where batches.p_value is not null

    union all

    select
        batches.source,
        'quiet weeks' as tried_on,
        concat('severity ', scores.severity, ' or more') as tested,
        case when batches.drift_score >= scores.score_min then 1 else 0 end as is_alarm
    from batches
    inner join quiet
        on
            batches.source = quiet.source
            and batches.batch = quiet.batch
    cross join scores
    where batches.drift_score is not null

),

counted as (

    select
        source,
        tried_on,
        tested,
        cast(count(*) as bigint) as tries,
        cast(sum(is_alarm) as bigint) as alarms
    from tried
    group by source, tried_on, tested

),

dates as (

    select
        source,
        max(as_of_date) as as_of_date
    from features
    group by source

),

final as (

    select
        counted.source,
        counted.tried_on,
        counted.tested,
        counted.tries,
        counted.alarms,
        round(cast(counted.alarms as double) / counted.tries, 9) as alarm_rate,
        {%- for side, sign in [('lo', '-'), ('hi', '')] %}
        round(
            {{ wilson(
                'cast(counted.alarms as double)', 'counted.tries', sign ~ 'limits.z'
            ) }}, 9
        ) as alarm_rate_{{ side }},
        {%- endfor %}
        case when counted.tried_on <> 'injected shift' and counted.tested like 'a %'
                then limits.alpha
        end as intended_rate,
        dates.as_of_date
    from counted
    inner join dates
        on counted.source = dates.source
    cross join limits

)

select * from final
