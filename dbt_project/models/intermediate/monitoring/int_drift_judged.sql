-- Each feature of each batch against the reference it is nearest to, with what quiet windows do by
-- themselves, and with how much the feature matters; and what `retour drift` found in files.

with statistics as (

    select * from {{ ref('int_drift_statistics') }}

),

comparisons as (

    select
        source,
        batch,
        batch_grain,
        reference,
        max(batch_start) as batch_start,
        max(batch_end) as batch_end,
        max(as_of_date) as as_of_date
    from {{ ref('int_drift_comparisons') }}
    group by source, batch, batch_grain, reference

),

odd_weeks as (

    select * from {{ ref('int_drift_weeks') }}

),

importances as (

    select * from {{ ref('model_feature_importance') }} where task = 'return'

),

monitors as (

    select * from {{ ref('policy_drift_monitors') }}

),

classifiers as (

    select * from {{ ref('ml_drift_classifiers') }}

),

checks as (

    -- a file cannot be a week or day of the source, whatever it is called
    select * from {{ source('landing', 'drift_checks') }}
    where batch not like 'week ____-__-__%' and batch not like 'day ____-__-__%'

),

limits as (

    select
        {{ policy_value('drift_quiet_windows') }} as quiet_windows,
        {{ policy_value('drift_quiet_spreads') }} as quiet_spreads,
        {{ policy_value('drift_season_weeks') }} as season_weeks

),

dated as (

    select
        statistics.*,
        comparisons.batch_grain,
        comparisons.batch_start,
        comparisons.batch_end,
        comparisons.as_of_date,
        statistics.batch_lines * statistics.reference_lines
        / nullif(statistics.batch_lines + statistics.reference_lines, 0) as effective_lines,
        -- lines of an order, as a line sees it
        coalesce(
            max(case when statistics.feature = 'basket_lines' then statistics.baseline_mean end)
                over (partition by statistics.source, statistics.batch, statistics.reference),
            1
        ) as order_lines
    from statistics
    inner join comparisons
        on
            statistics.source = comparisons.source
            and statistics.batch = comparisons.batch
            and statistics.reference = comparisons.reference
    where comparisons.batch_grain in ('week', 'day', 'check')

),

-- earlier windows against their own references: the half year before is what is usual, but for
-- weeks that were out of order
earlier as (

    select
        dated.source,
        dated.batch,
        dated.reference,
        dated.feature,
        before.moved_share,
        before.chi_square / before.chi_square_df as unrest,
        before.effective_lines
    from dated
    inner join dated as before
        on
            dated.source = before.source
            and dated.reference = before.reference
            and dated.feature = before.feature
            and before.batch_grain = 'week'
            and dated.batch_start > before.batch_start
            and {{ days_between('before.batch_start', 'dated.batch_start') }} <= 182
    left join odd_weeks
        on
            before.source = odd_weeks.source
            and before.batch_start = odd_weeks.week_start_date
    where
        before.outcome = 'compared'
        and dated.batch_grain in ('week', 'day')
        and odd_weeks.source is null

),

middles as (

    select
        source,
        batch,
        reference,
        feature,
        count(*) as windows,
        percentile_cont(0.5) within group (order by moved_share) as usual,
        percentile_cont(0.5) within group (order by unrest) as unrest,
        percentile_cont(0.8) within group (order by unrest) as high_unrest,
        percentile_cont(0.5) within group (order by effective_lines) as effective_lines
    from earlier
    group by source, batch, reference, feature

),

quiet as (

    select
        middles.source,
        middles.batch,
        middles.reference,
        middles.feature,
        max(middles.windows) as windows,
        max(middles.usual)
        + max(limits.quiet_spreads) * 1.4826
        * percentile_cont(0.5) within group (order by abs(earlier.moved_share - middles.usual))
            as quiet_limit,
        max(middles.unrest) as unrest,
        max(middles.high_unrest) as high_unrest,
        max(middles.effective_lines) as effective_lines
    from middles
    inner join earlier
        on
            middles.source = earlier.source
            and middles.batch = earlier.batch
            and middles.reference = earlier.reference
            and middles.feature = earlier.feature
    cross join limits
    group by middles.source, middles.batch, middles.reference, middles.feature

),

-- what the model loses without a feature, or what the feature says alone: the larger share of the
-- most that any feature has
leaned_on as (

    select
        source,
        feature,
        auc_loss / nullif(max(auc_loss) over (partition by source), 0) as loss_share,
        abs(auc_alone - 0.5) / nullif(max(abs(auc_alone - 0.5)) over (partition by source), 0)
            as alone_share
    from importances

),

weighed as (

    select
        source,
        feature,
        max(greatest(coalesce(loss_share, 0), coalesce(alone_share, 0), 0)) as importance
    from leaned_on
    group by source, feature

),

-- lines that are alike are as alike in a day as in a week; by what else weeks differ, few lines
-- show less than many
shared as (

    select
        *,
        -- what is said of an order is said of each of its lines: so many lines are one
        case
            when
                feature in (
                    {%- for feature in drift_of_orders() %}
                    '{{ feature }}'{{ ',' if not loop.last }}
                    {%- endfor %}
                )
                then order_lines
            else 1
        end as alike_lines
    from dated

),

usual as (

    select
        shared.*,
        quiet.quiet_limit,
        quiet.windows,
        least(quiet.unrest, shared.alike_lines)
        + greatest(quiet.unrest - shared.alike_lines, 0)
        * shared.effective_lines / quiet.effective_lines as unrest,
        quiet.high_unrest / nullif(quiet.unrest, 0) as unrest_spread
    from shared
    left join quiet
        on
            shared.source = quiet.source
            and shared.batch = quiet.batch
            and shared.reference = quiet.reference
            and shared.feature = quiet.feature

),

sized as (

    select
        usual.*,
        coalesce(usual.windows, 0) as quiet_windows,
        -- lines of one order are alike and weeks differ: so many times the chi-square of chance is
        -- usual (its median without either is near (1 - 2 / (9 df))^3) ...
        greatest(
            1,
            coalesce(usual.unrest / power(1 - 2 / (9.0 * usual.chi_square_df), 3), 1)
        ) as dispersion,
        -- ... and some weeks differ much more than others: as if the logarithm were normal, with
        -- the spread between the median and the highest fifth of the earlier weeks
        case
            when usual.chi_square > 0 and usual.unrest > 0 and usual.unrest_spread > 1
                then
                0.841621 * ln(usual.chi_square / usual.chi_square_df / usual.unrest)
                / ln(usual.unrest_spread)
        end as week_deviate,
        case
            when monitors.feature is not null then 1
            when count(weighed.feature) over (partition by usual.source) = 0 then 1
            else coalesce(weighed.importance, 0)
        end as importance,
        monitors.monitor,
        case
            when
                usual.batch_grain in ('week', 'day')
                and coalesce(usual.windows, 0) < limits.quiet_windows
                then null
            when usual.moved_share is null then null
            else greatest(usual.moved_share - coalesce(usual.quiet_limit, 0), 0)
        end as excess_share
    from usual
    cross join limits
    left join weighed
        on
            usual.source = weighed.source
            and usual.feature = weighed.feature
    left join monitors
        on usual.feature = monitors.feature

),

deviating as (

    select
        *,
        tested_chi_square / dispersion as quiet_chi_square,
        {{ chi_square_deviate('(tested_chi_square / dispersion)', 'tested_df') }} as deviate
    from sized

),

judged as (

    select
        *,
        case
            when
                outcome in ('compared', 'disappeared', 'appeared', 'type changed')
                and excess_share is not null
                then
                greatest(
                    {{ chi_square_tail('deviate', 'quiet_chi_square', 'tested_df') }},
                    coalesce({{ normal_tail('week_deviate') }}, 0)
                )
        end as p_value
    from deviating

),

-- a batch is like its reference if it is like the weeks before or like the same weeks last year
chosen as (

    select
        *,
        row_number() over (
            partition by source, batch, feature
            order by
                case outcome when 'compared' then 1 when 'no lines in the batch' then 3 else 2 end,
                case when excess_share is null then 1 else 0 end,
                excess_share,
                moved_share,
                reference desc
        ) as choice
    from judged

),

-- ties share the highest rank
ranked as (

    select
        *,
        count(p_value) over (partition by source order by p_value) as p_rank,
        count(p_value) over (partition by source) as family_size
    from chosen
    where choice = 1

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
    from ranked

),

-- a check that was made twice counts as the last one says
checked as (

    select
        *,
        rank() over (partition by source, batch order by checked_at desc) as recency
    from checks

),

final as (

    select
        adjusted.source,
        adjusted.batch,
        adjusted.batch_grain,
        adjusted.batch_start,
        adjusted.batch_end,
        adjusted.feature,
        adjusted.kind,
        adjusted.monitor,
        adjusted.outcome,
        adjusted.reference,
        adjusted.batch_lines,
        adjusted.reference_lines,
        adjusted.baseline_mean,
        adjusted.current_mean,
        adjusted.baseline_missing_share,
        adjusted.current_missing_share,
        adjusted.unseen_share,
        adjusted.psi,
        adjusted.psi_corrected,
        adjusted.psi_p_value,
        adjusted.chi_square,
        adjusted.chi_square_df,
        adjusted.ks_statistic,
        adjusted.ks_p_value,
        adjusted.js_distance,
        adjusted.cramers_v,
        adjusted.wasserstein,
        adjusted.moved_share,
        adjusted.quiet_limit,
        adjusted.dispersion,
        adjusted.quiet_windows,
        adjusted.excess_share,
        adjusted.importance,
        adjusted.p_value,
        adjusted.q_value,
        classifiers.auc as classifier_auc,
        classifiers.auc_lo as classifier_auc_lo,
        classifiers.auc_hi as classifier_auc_hi,
        adjusted.as_of_date
    from adjusted
    left join classifiers
        on
            adjusted.source = classifiers.source
            and adjusted.batch = classifiers.batch

    union all

    select
        source,
        batch,
        batch_grain,
        cast(batch_start as date) as batch_start,
        cast(batch_end as date) as batch_end,
        feature,
        kind,
        monitor,
        outcome,
        reference,
        batch_lines,
        reference_lines,
        baseline_mean,
        current_mean,
        baseline_missing_share,
        current_missing_share,
        unseen_share,
        psi,
        psi_corrected,
        psi_p_value,
        chi_square,
        chi_square_df,
        ks_statistic,
        ks_p_value,
        js_distance,
        cramers_v,
        wasserstein,
        moved_share,
        quiet_limit,
        dispersion,
        quiet_windows,
        excess_share,
        importance,
        p_value,
        q_value,
        classifier_auc,
        classifier_auc_lo,
        classifier_auc_hi,
        cast(checked_at as date) as as_of_date
    from checked
    where recency = 1

)

select * from final
