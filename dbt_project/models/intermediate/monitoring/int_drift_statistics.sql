-- How far each feature of each batch is from its reference, and how likely chance alone is to move
-- it as far.

-- numbers are faster to group by than names and values
with comparisons as (

    select
        source,
        batch,
        reference,
        part,
        period_grain,
        period_start,
        dense_rank() over (order by source, batch, reference) as comparison_no
    from {{ ref('int_drift_comparisons') }}

),

cells as (

    select * from {{ ref('int_drift_cells') }}

),

limits as (

    select
        {{ policy_value('drift_bins') }} as bins,
        {{ policy_value('drift_categories') }} as categories,
        {{ policy_value('drift_min_expected_lines') }} as min_expected_lines,
        {{ policy_value('drift_min_lines') }} as min_lines

),

found as (

    select
        source,
        feature,
        value,
        member,
        max(kind) as kind
    from cells
    group by source, feature, value, member

),

-- of a feature in the order of its values
keys as (

    select
        *,
        value is null and member is null as is_missing,
        dense_rank() over (order by source, feature) as feature_no,
        row_number() over (order by source, feature, value, member) as key_no
    from found

),

-- every feature of the source is judged in every batch, also where it is not there
features as (

    select
        feature_no,
        max(source) as source,
        max(feature) as feature,
        max(kind) as kind
    from keys
    group by feature_no

),

keyed as (

    select
        cells.source,
        cells.period_grain,
        cells.period_start,
        cells.lines,
        cells.value_total,
        keys.feature_no,
        keys.key_no,
        keys.is_missing
    from cells
    inner join keys
        on
            cells.source = keys.source
            and cells.feature = keys.feature
            and cells.value is not distinct from keys.value
            and cells.member is not distinct from keys.member

),

periods as (

    select
        source,
        period_grain,
        period_start,
        feature_no,
        sum(lines) as lines,
        sum(case when is_missing then 0 else lines end) as known,
        sum({{ exact('value_total') }}) as value_total
    from keyed
    group by source, period_grain, period_start, feature_no

),

totals as (

    select
        comparisons.comparison_no,
        periods.feature_no,
        sum(case comparisons.part when 'batch' then periods.lines else 0 end) as batch_count,
        sum(case comparisons.part when 'batch' then periods.known else 0 end) as batch_known,
        cast(
            sum(case comparisons.part when 'batch' then periods.value_total end) as double
        ) as batch_total,
        sum(case comparisons.part when 'batch' then 0 else periods.lines end) as reference_count,
        sum(case comparisons.part when 'batch' then 0 else periods.known end) as reference_known,
        cast(
            sum(case comparisons.part when 'batch' then null else periods.value_total end) as double
        ) as reference_total
    from comparisons
    inner join periods
        on
            comparisons.source = periods.source
            and comparisons.period_grain = periods.period_grain
            and comparisons.period_start = periods.period_start
    group by comparisons.comparison_no, periods.feature_no

),

-- both sides of each value beside each other
lined_up as (

    select
        comparisons.comparison_no,
        keyed.key_no,
        sum(case comparisons.part when 'batch' then keyed.lines else 0 end) as batch_lines,
        sum(case comparisons.part when 'batch' then 0 else keyed.lines end) as reference_lines
    from comparisons
    inner join keyed
        on
            comparisons.source = keyed.source
            and comparisons.period_grain = keyed.period_grain
            and comparisons.period_start = keyed.period_start
    group by comparisons.comparison_no, keyed.key_no

),

named as (

    select
        lined_up.*,
        keys.feature_no,
        keys.kind,
        keys.value,
        keys.is_missing
    from lined_up
    inner join keys
        on lined_up.key_no = keys.key_no

),

-- numbers by size, members by how usual they were; what nobody knows is neither
ordered as (

    select
        *,
        sum(batch_lines) over (
            partition by comparison_no, feature_no
            order by key_no rows between unbounded preceding and current row
        ) as batch_below,
        sum(reference_lines) over (
            partition by comparison_no, feature_no
            order by key_no rows between unbounded preceding and current row
        ) as reference_below,
        lead(value) over (partition by comparison_no, feature_no order by key_no) as next_value,
        cast(null as bigint) as member_rank,
        cast(null as bigint) as pooled_rank
    from named
    where value is not null

    union all

    select
        *,
        cast(null as double) as batch_below,
        cast(null as double) as reference_below,
        cast(null as double) as next_value,
        row_number() over (
            partition by comparison_no, feature_no
            order by case when is_missing then 1 else 0 end, reference_lines desc, key_no
        ) as member_rank,
        row_number() over (
            partition by comparison_no, feature_no
            order by
                case when is_missing then 1 else 0 end,
                batch_lines + reference_lines desc,
                key_no
        ) as pooled_rank
    from named
    where value is null

),

counts as (

    select
        comparison_no,
        feature_no,
        cast(count(*) as bigint) as distinct_values
    from named
    group by comparison_no, feature_no

),

shared as (

    select
        ordered.*,
        totals.batch_count,
        totals.reference_count,
        totals.batch_known,
        totals.reference_known,
        totals.reference_total / nullif(totals.reference_known, 0) as reference_mean,
        case
            when totals.batch_known > 0 and totals.reference_known > 0 and not ordered.is_missing
                then
                ordered.batch_below / totals.batch_known
                - ordered.reference_below / totals.reference_known
        end as share_gap,
        case
            when not ordered.is_missing
                then
                (ordered.batch_below + ordered.reference_below)
                / (totals.batch_known + totals.reference_known)
        end as pooled_below
    from ordered
    inner join totals
        on
            ordered.comparison_no = totals.comparison_no
            and ordered.feature_no = totals.feature_no

),

-- distances of numbers: on the values themselves
spans as (

    select
        comparison_no,
        feature_no,
        max(abs(share_gap)) as ks_statistic,
        sum(cast(abs(share_gap) * (next_value - value) as decimal(38, 12))) as wasserstein,
        sum(
            cast(
                reference_lines / reference_known * power(value - reference_mean, 2)
                as decimal(38, 12)
            )
        ) as reference_variance,
        max(batch_known * reference_known / (batch_known + reference_known)) as effective_lines,
        max(batch_known) as batch_known,
        max(reference_known) as reference_known,
        count(*) as value_count,
        min(pooled_below) as first_share,
        max(case when pooled_below < 1 then pooled_below end) as last_share
    from shared
    where value is not null and batch_known > 0 and reference_known > 0
    group by comparison_no, feature_no

),

-- D has steps: the second term gives half the weight to the step that is seen (mid-p), found by
-- comparison with the exact distribution; it also makes up for small samples
scaled as (

    select
        *,
        sqrt(effective_lines) * ks_statistic as ks_plain,
        sqrt(effective_lines) * ks_statistic
        + (
            0.18 + 0.06 * least(reference_known, batch_known)
            / greatest(reference_known, batch_known)
        ) / sqrt(effective_lines) as ks_scaled
    from spans

),

-- what many lines share is one point of the curve: the sum over the points is exact for flags
point_deviates as (

    select
        shared.comparison_no,
        shared.feature_no,
        scaled.ks_plain / sqrt(shared.pooled_below * (1 - shared.pooled_below)) as deviate
    from shared
    inner join scaled
        on
            shared.comparison_no = scaled.comparison_no
            and shared.feature_no = scaled.feature_no
    where scaled.value_count <= 12 and shared.pooled_below < 1 and shared.value is not null

),

points as (

    select
        comparison_no,
        feature_no,
        cast(sum(cast(2 * {{ normal_tail('deviate') }} as decimal(38, 20))) as double)
            as p_of_points
    from point_deviates
    group by comparison_no, feature_no

),

-- tenths of the reference, or its members; missing is -1, unseen 0. The test has bins of its own,
-- tenths, and the most frequent members, of both sides together: tenths of the reference hold
-- equally many of its lines by construction, as no sample does, and a small test feels that;
-- of many members, those that are frequent in the reference are so by luck, and fall back
binned as (

    select
        shared.comparison_no,
        shared.feature_no,
        shared.batch_count,
        shared.reference_count,
        shared.batch_lines,
        shared.reference_lines,
        case
            when shared.is_missing then -1
            when shared.kind = 'category' and shared.reference_lines = 0 then 0
            when shared.kind = 'category' then least(shared.member_rank, limits.categories + 1)
            when shared.reference_known = 0 then 0
            else
                least(
                    limits.bins,
                    floor(
                        limits.bins * (shared.reference_below - shared.reference_lines)
                        / shared.reference_known
                    ) + 1
                )
        end as bin,
        case
            when shared.is_missing then -1
            when shared.kind = 'category' then least(shared.pooled_rank, limits.categories + 1)
            else
                least(
                    limits.bins,
                    floor(
                        limits.bins * (
                            shared.reference_below - shared.reference_lines
                            + shared.batch_below - shared.batch_lines
                        ) / (shared.reference_known + shared.batch_known)
                    ) + 1
                )
        end as test_bin
    from shared
    cross join limits
    where shared.batch_count > 0 and shared.reference_count > 0

),

bins as (

    select
        comparison_no,
        feature_no,
        bin,
        batch_count,
        reference_count,
        sum(batch_lines) as batch_lines,
        sum(reference_lines) as reference_lines
    from binned
    group by comparison_no, feature_no, bin, batch_count, reference_count

),

counted as (

    select
        *,
        count(*) over (partition by comparison_no, feature_no) as bin_count
    from bins

),

-- half a line is added to each bin, so that an empty one has a logarithm
distances as (

    select
        comparison_no,
        feature_no,
        max(bin_count) as bin_count,
        sum(
            cast(
                (
                    (batch_lines + 0.5) / (batch_count + 0.5 * bin_count)
                    - (reference_lines + 0.5) / (reference_count + 0.5 * bin_count)
                ) * (
                    ln((batch_lines + 0.5) / (batch_count + 0.5 * bin_count))
                    - ln((reference_lines + 0.5) / (reference_count + 0.5 * bin_count))
                ) as decimal(28, 15)
            )
        ) as psi,
        sum(
            cast(
                (
                    case
                        when batch_lines > 0
                            then
                            batch_lines / batch_count * ln(
                                2 * batch_lines / batch_count
                                / (
                                    batch_lines / batch_count
                                    + reference_lines / reference_count
                                )
                            )
                        else 0
                    end
                    + case
                        when reference_lines > 0
                            then
                            reference_lines / reference_count * ln(
                                2 * reference_lines / reference_count
                                / (
                                    batch_lines / batch_count
                                    + reference_lines / reference_count
                                )
                            )
                        else 0
                    end
                ) / (2 * ln(cast(2 as double))) as decimal(28, 15)
            )
        ) as js_divergence,
        sum(
            cast(
                abs(batch_lines / batch_count - reference_lines / reference_count) / 2
                as decimal(28, 15)
            )
        ) as moved_lines,
        -- what chance moves: the mean of the absolute value of a normal
        sum(
            cast(
                sqrt(
                    (1 / batch_count + 1 / reference_count) / 6.283185307179586
                    * (batch_lines + reference_lines) / (batch_count + reference_count)
                    * (
                        1 - (batch_lines + reference_lines) / (batch_count + reference_count)
                    )
                ) as decimal(28, 15)
            )
        ) as moved_by_chance,
        max(case when bin = 0 then batch_lines / batch_count else 0 end) as unseen_share
    from counted
    group by comparison_no, feature_no

),

test_bins as (

    select
        comparison_no,
        feature_no,
        test_bin,
        batch_count,
        reference_count,
        sum(batch_lines) as batch_lines,
        sum(reference_lines) as reference_lines
    from binned
    group by comparison_no, feature_no, test_bin, batch_count, reference_count

),

sized as (

    select
        test_bins.*,
        case
            when
                (test_bins.batch_lines + test_bins.reference_lines)
                * least(test_bins.batch_count, test_bins.reference_count)
                / (test_bins.batch_count + test_bins.reference_count)
                >= limits.min_expected_lines
                then test_bins.test_bin
            else -9
        end as tested_bin
    from test_bins
    cross join limits

),

rare as (

    select
        comparison_no,
        feature_no,
        tested_bin,
        max(batch_count) as batch_count,
        max(reference_count) as reference_count,
        sum(batch_lines) as batch_lines,
        sum(reference_lines) as reference_lines
    from sized
    group by comparison_no, feature_no, tested_bin

),

-- the rare ones together; with the largest bin where even together there is next to nothing to
-- expect: what nobody sold before may be a handful of lines
ranked as (

    select
        *,
        row_number() over (
            partition by comparison_no, feature_no
            order by
                case when tested_bin = -9 then 1 else 0 end,
                batch_lines + reference_lines desc,
                tested_bin
        ) as size_rank
    from rare

),

merged as (

    select
        ranked.*,
        case
            when
                ranked.tested_bin = -9
                and (ranked.batch_lines + ranked.reference_lines)
                * least(ranked.batch_count, ranked.reference_count)
                / (ranked.batch_count + ranked.reference_count)
                < limits.min_expected_lines / 20.0
                then 1
            else ranked.size_rank
        end as merged_rank
    from ranked
    cross join limits

),

tested as (

    select
        comparison_no,
        feature_no,
        merged_rank,
        max(batch_count) as batch_count,
        max(reference_count) as reference_count,
        sum(batch_lines) as batch_lines,
        sum(reference_lines) as reference_lines
    from merged
    group by comparison_no, feature_no, merged_rank

),

squares as (

    select
        comparison_no,
        feature_no,
        cast(count(*) - 1 as bigint) as chi_square_df,
        max(batch_count) as batch_count,
        max(reference_count) as reference_count,
        cast(
            sum(
                cast(
                    power(
                        batch_lines
                        - (batch_lines + reference_lines)
                        * batch_count / (batch_count + reference_count),
                        2
                    )
                    * (batch_count + reference_count) * (batch_count + reference_count)
                    / ((batch_lines + reference_lines) * batch_count * reference_count)
                    as decimal(38, 12)
                )
            ) as double
        ) as chi_square,
        cast(
            sum(
                cast(
                    (batch_count + reference_count) / (batch_lines + reference_lines)
                    as decimal(38, 12)
                )
            ) as double
        ) as inverse_shares
    from tested
    group by comparison_no, feature_no

),

-- mean and variance of the statistic in small samples, given both margins (Haldane 1940, Dawson
-- 1954)
moments as (

    select
        *,
        batch_count + reference_count as lines,
        (batch_count + reference_count) * chi_square_df / (batch_count + reference_count - 1)
            as mean,
        case
            when chi_square_df >= 4 and batch_count + reference_count > 3
                then
                2 * (batch_count + reference_count) / (batch_count + reference_count - 3)
                * (
                    (batch_count + reference_count - 2)
                    / (batch_count + reference_count - 1)
                    - (
                        (batch_count + reference_count)
                        * (1 / batch_count + 1 / reference_count) - 4
                    ) / (batch_count + reference_count - 2)
                )
                * (
                    chi_square_df * (batch_count + reference_count - chi_square_df - 1)
                    / (batch_count + reference_count - 1)
                    - (inverse_shares - (chi_square_df + 1) * (chi_square_df + 1))
                    / (batch_count + reference_count - 2)
                )
                + power(batch_count + reference_count, 2) / (batch_count + reference_count - 1)
                * (
                    (batch_count + reference_count)
                    * (1 / batch_count + 1 / reference_count) - 4
                ) / (batch_count + reference_count - 2)
                * (inverse_shares - (chi_square_df + 1) * (chi_square_df + 1))
                / (batch_count + reference_count - 2)
        end as variance
    from squares

),

-- as a chi-square variable of other scale and degrees; few degrees are exact enough as they are
rescaled as (

    select
        *,
        coalesce(2 * mean * mean / nullif(variance, 0), chi_square_df) as tested_df,
        chi_square * coalesce(2 * mean / nullif(variance, 0), 1) as tested_chi_square
    from moments

),

asked as (

    select
        comparisons.source,
        comparisons.batch,
        comparisons.reference,
        comparisons.comparison_no,
        features.feature_no,
        features.feature,
        features.kind
    from comparisons
    inner join features
        on comparisons.source = features.source
    where comparisons.part = 'batch'

),

measured as (

    select
        asked.source,
        asked.batch,
        asked.reference,
        asked.feature,
        asked.kind,
        coalesce(totals.batch_count, 0) as batch_lines,
        coalesce(totals.reference_count, 0) as reference_lines,
        totals.batch_known,
        totals.reference_known,
        counts.distinct_values,
        totals.batch_total / nullif(totals.batch_known, 0) as current_mean,
        totals.reference_total / nullif(totals.reference_known, 0) as baseline_mean,
        sqrt(cast(scaled.reference_variance as double)) as baseline_deviation,
        cast(distances.psi as double) as psi,
        distances.bin_count,
        sqrt(greatest(cast(distances.js_divergence as double), 0)) as js_distance,
        cast(distances.moved_lines as double) as moved_lines,
        cast(distances.moved_by_chance as double) as moved_by_chance,
        distances.unseen_share,
        scaled.ks_statistic,
        cast(scaled.wasserstein as double) as wasserstein_distance,
        rescaled.chi_square,
        rescaled.chi_square_df,
        rescaled.tested_chi_square,
        rescaled.tested_df,
        {{ chi_square_deviate('rescaled.tested_chi_square', 'rescaled.tested_df') }}
            as chi_square_deviate,
        scaled.ks_scaled,
        {%- for side, share in [
            ('left', 'scaled.last_share'), ('right', '(1 - scaled.first_share)')
        ] %}
        scaled.ks_scaled / sqrt(nullif({{ share }} * (1 - {{ share }}), 0)) as {{ side }}_deviate,
        scaled.ks_scaled * (2 * {{ share }} - 1) / sqrt(nullif({{ share }} * (1 - {{ share }}), 0))
            as {{ side }}_turned,
        {%- endfor %}
        points.p_of_points
    from asked
    left join totals
        on
            asked.comparison_no = totals.comparison_no
            and asked.feature_no = totals.feature_no
    {%- for table_name in ['counts', 'distances', 'scaled', 'rescaled', 'points'] %}
    left join {{ table_name }}
        on
            asked.comparison_no = {{ table_name }}.comparison_no
            and asked.feature_no = {{ table_name }}.feature_no
    {%- endfor %}

),

-- what cannot be said has a name
stated as (

    select
        measured.*,
        case
            when measured.reference = 'none' then 'no reference'
            when measured.batch_lines = 0 then 'no lines in the batch'
            when measured.reference_lines = 0 then 'no lines in the reference'
            when
                least(measured.batch_lines, measured.reference_lines) < limits.min_lines
                then 'too few lines'
            when
                measured.batch_known = 0 and measured.reference_known = 0
                then 'missing everywhere'
            when measured.distinct_values = 1 then 'constant'
            when measured.chi_square_df = 0 then 'too rare'
            when measured.batch_known = 0 then 'disappeared'
            when measured.reference_known = 0 then 'appeared'
            else 'compared'
        end as outcome,
        {{ chi_square_tail(
            'measured.chi_square_deviate', 'measured.tested_chi_square', 'measured.tested_df'
        ) }} as chi_square_p_value,
        least(
            1,
            {{ kolmogorov_tail('measured.ks_scaled') }},
            {%- for side in ['left', 'right'] %}
            coalesce(
                {{ kolmogorov_cut_tail(
                    'measured.ks_scaled',
                    'measured.' ~ side ~ '_deviate',
                    'measured.' ~ side ~ '_turned',
                ) }},
                1
            ),
            {%- endfor %}
            coalesce(measured.p_of_points, 1)
        ) as ks_bound
    from measured
    cross join limits

),

decided as (

    select
        *,
        case
            when outcome not in ('compared', 'disappeared', 'appeared') then null
            when kind = 'number' and ks_bound is not null and outcome = 'compared' then ks_bound
        end as ks_p_value
    from stated

),

final as (

    select
        source,
        batch,
        reference,
        feature,
        kind,
        outcome,
        batch_lines,
        reference_lines,
        1 - batch_known / nullif(batch_lines, 0) as current_missing_share,
        1 - reference_known / nullif(reference_lines, 0) as baseline_missing_share,
        unseen_share,
        current_mean,
        baseline_mean,
        baseline_deviation,
        psi,
        cast(bin_count as bigint) as bin_count,
        psi - (bin_count - 1) * (1 / batch_lines + 1 / reference_lines) as psi_corrected,
        chi_square,
        chi_square_df,
        tested_chi_square,
        tested_df,
        case when outcome in ('compared', 'disappeared', 'appeared') then chi_square_p_value end
            as psi_p_value,
        ks_statistic,
        ks_p_value,
        js_distance,
        sqrt(chi_square / (batch_lines + reference_lines)) as cramers_v,
        wasserstein_distance,
        wasserstein_distance / nullif(baseline_deviation, 0) as wasserstein,
        moved_lines,
        case
            when moved_lines is not null
                then
                sqrt(greatest(moved_lines * moved_lines - moved_by_chance * moved_by_chance, 0))
        end as moved_share
    from decided

)

select * from final
