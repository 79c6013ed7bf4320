-- the weeks of orders that were scored, as known on the as-of date
with figures as (

    select * from {{ ref('int_performance_figures') }}
    where period_grain = 'week' and entity_type = 'all'

),

delays as (

    select * from {{ ref('label_delay') }} where marketplace = 'all' and basis = 'arrival'

),

standstills as (

    select * from {{ ref('return_delays') }}
    where marketplace = 'all' and status = 'delayed' and known_on = as_of_date

),

batches as (

    select * from {{ ref('drift_batches') }} where batch_grain = 'week'

),

-- whether models told returns from sales in what came after them
signals as (

    select
        source,
        max(value) = 1 as has_signal
    from {{ ref('int_model_records') }}
    where task = 'return' and record = 'run' and name = 'has_signal'
    group by source

),

-- the last week that is over, whether or not anything was scored in it
current_weeks as (

    select
        source,
        as_of_date,
        {{ week_start(dbt.dateadd('day', -6, 'as_of_date')) }} as week_start
    from {{ ref('int_sources') }}
    where as_of_date is not null

),

weeks as (

    select
        source,
        week_start
    from current_weeks

    union

    select
        source,
        period_start as week_start
    from figures

),

-- returns so far of four weeks over those expected: one week alone is mostly chance
recent as (

    select
        weeks.source,
        weeks.week_start,
        cast(sum(figures.returned_so_far) as bigint) as observed_returns,
        cast(sum({{ exact('figures.expected_so_far') }}) as double) as expected_returns,
        max(figures.z) * sqrt(
            max(figures.dispersion)
            * cast(sum({{ exact('figures.so_far_variance') }}) as double)
            + power(cast(sum({{ exact('figures.so_far_error') }}) as double), 2)
        ) as expected_half
    from weeks
    inner join figures
        on
            weeks.source = figures.source
            and {{ days_between('figures.period_start', 'weeks.week_start') }} between 0 and 27
    group by weeks.source, weeks.week_start

),

-- the latest four weeks whose outcomes were known by the end of the week
known as (

    select
        weeks.source,
        weeks.week_start,
        count(*) as week_count,
        cast(sum({{ exact('figures.roc_auc') }}) as double) / count(*) as realised,
        cast(sum({{ exact('figures.expected_auc') }}) as double) / count(*) as estimated,
        sqrt(cast(sum({{ exact('power(figures.expected_auc_half, 2)') }}) as double)) / count(*)
            as half
    from weeks
    inner join figures
        on
            weeks.source = figures.source
            and figures.roc_auc_half is not null
            and figures.is_mature
            and {{ days_between('figures.period_end', 'weeks.week_start') }} + 6
            between {{ var('return_window_days') | int }}
            and {{ var('return_window_days') | int }} + 27
    group by weeks.source, weeks.week_start

),

joined as (

    select
        weeks.source,
        weeks.week_start,
        cast({{ dbt.dateadd('day', 6, 'weeks.week_start') }} as date) as week_end,
        weeks.week_start = current_weeks.week_start as is_current,
        coalesce(figures.line_count, 0) as lines,
        figures.expected_auc as roc_auc_estimated,
        case when figures.is_mature then figures.roc_auc end as roc_auc_realised,
        known.estimated as known_roc_auc_estimated,
        known.realised as known_roc_auc_realised,
        known.half as known_half,
        recent.observed_returns,
        recent.expected_returns,
        recent.observed_returns / nullif(recent.expected_returns, 0) as observed_to_expected,
        recent.expected_half / nullif(recent.expected_returns, 0) as ratio_half,
        coalesce(signals.has_signal, false) as has_signal,
        case
            when
                weeks.week_start = current_weeks.week_start and standstills.source is not null
                then 'labels late'
            else delays.finding
        end as label_finding,
        batches.severity as drift_severity,
        batches.top_feature as drift_feature,
        current_weeks.as_of_date
    from weeks
    inner join current_weeks
        on weeks.source = current_weeks.source
    left join figures
        on
            weeks.source = figures.source
            and weeks.week_start = figures.period_start
    left join recent
        on
            weeks.source = recent.source
            and weeks.week_start = recent.week_start
    left join known
        on
            weeks.source = known.source
            and weeks.week_start = known.week_start
    left join signals
        on weeks.source = signals.source
    left join delays
        on
            weeks.source = delays.source
            and weeks.week_start = delays.week_start
    left join standstills
        on weeks.source = standstills.source
    left join batches
        on
            weeks.source = batches.source
            and weeks.week_start = batches.batch_start

),

checked as (

    select
        *,
        coalesce(expected_returns, 0) >= {{ policy_value('performance_min_expected_returns') }}
            as is_told,
        100 * greatest(
            observed_to_expected - ratio_half - 1, 1 - observed_to_expected - ratio_half
        ) as surely_off_percent,
        coalesce(
            known_roc_auc_realised < known_roc_auc_estimated - known_half
            and 1000 * (known_roc_auc_estimated - known_roc_auc_realised)
            > {{ policy_value('performance_auc_fall_permille') }},
            false
        ) as has_fallen,
        coalesce(
            1000 * known_roc_auc_realised < {{ policy_value('return_min_auc_permille') }}, false
        ) as is_chance,
        coalesce(label_finding in ('labels late', 'backlog arriving'), false) as is_label_moved,
        coalesce(drift_severity in ('critical', 'warning'), false) as has_drifted
    from joined

),

judged as (

    select
        *,
        is_told
        and surely_off_percent > {{ policy_value('performance_calibration_percent') }} as is_off,
        is_told
        and surely_off_percent > {{ policy_value('performance_distrust_percent') }} as is_far_off
    from checked

),

stated as (

    select
        *,
        case
            when lines = 0 then 'no scores'
            when not has_signal or is_far_off or is_chance then 'do not trust'
            when is_off or has_fallen or is_label_moved or has_drifted then 'watch'
            when not is_told then 'too early'
            else 'trust'
        end as status
    from judged

),

final as (

    select
        source,
        week_start,
        week_end,
        is_current,
        status,
        cast(lines as bigint) as lines,
        roc_auc_estimated,
        roc_auc_realised,
        known_roc_auc_estimated,
        known_roc_auc_realised,
        observed_returns,
        round(expected_returns, 6) as expected_returns,
        observed_to_expected,
        greatest(0, observed_to_expected - ratio_half) as observed_to_expected_lo,
        observed_to_expected + ratio_half as observed_to_expected_hi,
        has_signal,
        label_finding,
        drift_severity,
        concat(
            'Week of ', cast(week_start as string), ': ',
            case status
                when 'no scores' then 'no line was scored by a model that had not learnt from it.'
                when 'do not trust' then 'do not act on the scores.'
                when 'watch' then 'use the scores with care.'
                when 'too early' then 'nothing speaks against the scores, too little has come back.'
                else 'the scores can be used.'
            end,
            case
                when lines > 0 and not has_signal
                    then ' Models did not tell returns from sales in what came after them.'
                else ''
            end,
            case
                when is_told
                    then
                    concat(
                        ' Of the last four weeks ', {{ whole_number_text('observed_returns') }},
                        ' lines have come back, the scores said ',
                        {{ whole_number_text('expected_returns') }}, ' by now',
                        case
                            when ratio_half is not null
                                then
                                concat(
                                    case
                                        when abs(observed_to_expected - 1) <= ratio_half
                                            then ' (within chance: '
                                        else ' ('
                                    end,
                                    cast(
                                        cast(
                                            greatest(0, observed_to_expected - ratio_half)
                                            as decimal(9, 2)
                                        ) as string
                                    ),
                                    ' to ',
                                    cast(
                                        cast(
                                            observed_to_expected + ratio_half as decimal(9, 2)
                                        ) as string
                                    ),
                                    ' times)'
                                )
                            else ''
                        end,
                        case
                            when is_off and observed_to_expected > 1
                                then ': probabilities are too low.'
                            when is_off then ': probabilities are too high.'
                            else '.'
                        end
                    )
                else ''
            end,
            case
                when roc_auc_estimated is not null
                    then
                    concat(
                        ' They rank ', {{ percent_text('roc_auc_estimated') }},
                        ' % of pairs rightly, as estimated from the scores alone',
                        case
                            when known_roc_auc_realised is not null
                                then
                                concat(
                                    '; when outcomes were last known ',
                                    {{ percent_text('known_roc_auc_realised') }}, ' % (said ',
                                    {{ percent_text('known_roc_auc_estimated') }}, ' %)'
                                )
                            else ''
                        end,
                        '.'
                    )
                else ''
            end,
            case label_finding
                when 'labels late' then ' Returns are late: fewer of them mean nothing yet.'
                when 'backlog arriving' then ' Returns come later after the sale than usual.'
                else ''
            end,
            case
                when has_drifted
                    then
                    concat(
                        ' Orders are not like before (', drift_severity, ': ',
                        coalesce(drift_feature, '?'), ').'
                    )
                else ''
            end
        ) as sentence,
        as_of_date
    from stated

)

select * from final
