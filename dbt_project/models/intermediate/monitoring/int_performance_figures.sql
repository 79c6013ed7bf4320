-- Performance of the scores per week, month and member: what calibrated probabilities let expect
-- without any outcome (CBPE), how far outcomes will scatter around it, and what those known so far
-- say.

{% set slices = [
    ('week', 'all', none), ('week', 'marketplace', 'marketplace'),
    ('month', 'all', none), ('month', 'marketplace', 'marketplace'),
    ('month', 'category', 'category'), ('month', 'segment', 'segment_name'),
] -%}
{% set counts = [
    'line_count', 'known_count', 'said_count', 'returned_so_far', 'positives', 'true_positives',
] -%}
{% set sums = [
    'expected', 'spread', 'said_expected', 'said_spread', 'brier_variance', 'expected_log_loss',
    'log_loss_variance', 'expected_so_far', 'so_far_variance', 'so_far_error', 'brier',
    'brier_squares', 'log_loss', 'log_loss_squares',
] -%}
{% set window = 'partition by source, period_grain, period_start, entity_type, entity_id' -%}

with cells as (

    select * from {{ ref('int_performance_cells') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

dispersions as (

    select * from {{ ref('int_return_dispersion') }} where is_current and unit = 'lines'

),

placed as (

    {%- for grain, entity_type, column in slices %}

    select
        source,
        '{{ grain }}' as period_grain,
        {{ grain }}_start as period_start,
        '{{ entity_type }}' as entity_type,
        {{ column or "'all'" }} as entity_id,
        score_bin,
        min(first_date) as first_date,
        max(last_date) as last_date,
        {%- for name in counts + sums %}
        sum({{ name }}) as {{ name }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from cells
    {%- if column %}
    where {{ column }} is not null
    {%- endif %}
    group by source, {{ grain }}_start, {{ column ~ ', ' if column }}score_bin
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- of each cell what lies below it; what is in it counts half where it is ranked
ranked as (

    select
        *,
        cast(expected as double) as p,
        line_count - cast(expected as double) as q,
        cast(spread as double) as s,
        sum(line_count) over ({{ window }}) as all_lines,
        cast(sum(positives) over ({{ window }}) as double) as all_positives,
        cast(sum(expected) over ({{ window }}) as double) as all_expected,
        cast(sum(expected) over (
            {{ window }} order by score_bin rows between unbounded preceding and current row
        ) - expected as double) as expected_below,
        cast(sum(line_count) over (
            {{ window }} order by score_bin rows between unbounded preceding and current row
        ) - line_count as double) as lines_below,
        cast(sum(positives) over (
            {{ window }} order by score_bin rows between unbounded preceding and current row
        ) - positives as double) as positives_below
    from placed

),

-- of a line of the cell the negatives below it less the positives above it, as expected and as they
-- came
measured as (

    select
        *,
        lines_below - expected_below as negatives_below,
        (lines_below - expected_below + q / 2) - (all_expected - expected_below - p / 2)
            as influence,
        (lines_below - positives_below + (line_count - positives) / 2)
        / nullif(all_lines - all_positives, 0) as negatives_below_share,
        (all_positives - positives_below - positives / 2)
        / nullif(all_positives, 0) as positives_above_share
    from ranked
    where
        entity_type = 'all' or all_lines >= {{ policy_value('return_slice_min_lines') }}

),

summed as (

    select
        source,
        period_grain,
        period_start,
        entity_type,
        entity_id,
        min(first_date) as first_date,
        max(last_date) as last_date,
        {%- for name in counts %}
        cast(sum({{ name }}) as bigint) as {{ name }},
        {%- endfor %}
        {%- for name in sums %}
        cast(sum({{ name }}) as double) as {{ name }},
        {%- endfor %}
        cast(sum({{ exact('p * negatives_below + (p * q - s) / 2') }}) as double) as ordered_pairs,
        cast(sum({{ exact('s * influence * influence') }}) as double) as influence_squares,
        cast(sum({{ exact('s * influence') }}) as double) as influence_sum,
        cast(sum({{ exact('positives * negatives_below_share') }}) as double) as below_shares,
        cast(sum({{ exact('positives * power(negatives_below_share, 2)') }}) as double)
            as below_squares,
        cast(
            sum({{ exact('(line_count - positives) * power(positives_above_share, 2)') }}) as double
        ) as above_squares
    from measured
    group by source, period_grain, period_start, entity_type, entity_id

),

prepared as (

    select
        summed.*,
        case summed.period_grain
            when 'week' then cast({{ dbt.dateadd('day', 6, 'summed.period_start') }} as date)
            else last_day(summed.period_start)
        end as period_end,
        summed.line_count - summed.expected as expected_negatives,
        summed.said_count - summed.said_expected as said_negatives,
        summed.expected - summed.said_expected as missed_expected,
        summed.expected * (summed.line_count - summed.expected) - summed.spread as pairs,
        greatest(1, coalesce(dispersions.dispersion, 1)) as dispersion,
        {{ interval_z() }} as z,
        sources.as_of_date
    from summed
    inner join sources
        on summed.source = sources.source
    left join dispersions
        on summed.source = dispersions.source

),

-- all lines of the period have reached the end of their return window
matured as (

    select
        *,
        {{ days_between('period_end', 'as_of_date') }} >= {{ var('return_window_days') | int }}
            as is_mature,
        ordered_pairs / nullif(pairs, 0) as expected_auc,
        z * sqrt(dispersion) as half_z
    from prepared

),

final as (

    select
        *,
        -- how far the area moves with each outcome: in the pairs it is ordered in, and in how many
        -- pairs there are
        half_z * sqrt(greatest(
            0,
            influence_squares
            - 2 * expected_auc * (expected_negatives - expected) * influence_sum
            + power(expected_auc * (expected_negatives - expected), 2) * spread
        )) / nullif(pairs, 0) as expected_auc_half,
        below_shares / nullif(positives, 0) as roc_auc,
        case
            when positives > 1 and line_count - positives > 1
                then
                half_z * sqrt(
                    greatest(
                        0, below_squares - power(below_shares, 2) / positives
                    ) / (positives - 1) / positives
                    + greatest(
                        0,
                        above_squares
                        - (line_count - positives) * power(below_shares / positives, 2)
                    ) / (line_count - positives - 1) / (line_count - positives)
                )
        end as roc_auc_half,
        -- of returns so far over those expected so far, if the probabilities are right
        half_z * sqrt(
            so_far_variance + power(so_far_error, 2) / dispersion
        ) / nullif(expected_so_far, 0) as ratio_half
    from matured

)

select * from final
