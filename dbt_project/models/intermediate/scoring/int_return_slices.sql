-- How good the scores of returns were, for all lines and by seller, marketplace, category and
-- segment. Lines of one slice whose log-odds agree to a thousandth are one cell and count as equal;
-- everything is made of cells, so that lines are read once.

{% set slices = {
    'lines': none, 'seller': 'seller_id', 'marketplace': 'marketplace', 'category': 'category',
    'segment': 'segment_name',
} -%}
{% set budgets = [5, 10, 20] -%}
{% set counts = ['true_positives', 'false_positives', 'true_negatives', 'false_negatives'] -%}

with tests as (

    select
        *,
        cast(floor(1000 * log_odds) as int) as score_bin,
        100 * return_probability >= {{ policy_value('return_threshold_percent') }} as is_said,
        -ln(case when came_back = 1 then return_probability else 1 - return_probability end)
            as log_loss
    from {{ ref('int_return_tests') }}

),

placed as (

    {%- for slice_type, column in slices.items() %}

    select
        source,
        '{{ slice_type }}' as slice_type,
        {{ column or "'all'" }} as slice_id,
        score_bin,
        came_back,
        is_said,
        return_probability,
        log_loss
    from tests
    {%- if column %}
    where {{ column }} is not null
    {%- endif %}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

cells as (

    select
        source,
        slice_type,
        slice_id,
        score_bin,
        count(*) as n,
        cast(sum(came_back) as bigint) as positives,
        cast(sum(case when is_said then came_back else 0 end) as bigint) as true_positives,
        cast(sum(case when is_said then 1 - came_back else 0 end) as bigint) as false_positives,
        sum({{ exact('return_probability') }}) as predicted,
        sum({{ exact('power(return_probability - came_back, 2)') }}) as brier,
        sum({{ exact('power(return_probability - came_back, 4)') }}) as brier_squares,
        sum({{ exact('log_loss') }}) as log_loss,
        sum({{ exact('log_loss * log_loss') }}) as log_loss_squares
    from placed
    group by source, slice_type, slice_id, score_bin

),

-- who has enough lines, and the largest of them
sizes as (

    select
        source,
        slice_type,
        slice_id,
        cast(sum(n) as bigint) as n,
        cast(sum(positives) as bigint) as positives,
        row_number() over (
            partition by source, slice_type order by sum(n) desc, slice_id
        ) as size_rank
    from cells
    group by source, slice_type, slice_id
    having sum(n) >= {{ policy_value('return_slice_min_lines') }} or slice_type = 'lines'

),

-- what lies below each cell; what is in it counts half where it is ranked
ranked as (

    select
        cells.*,
        sizes.n as all_n,
        sizes.positives as all_positives,
        cast(sum(cells.n) over (
            partition by cells.source, cells.slice_type, cells.slice_id
            order by cells.score_bin
            rows between unbounded preceding and current row
        ) as bigint) - cells.n as n_below,
        cast(sum(cells.positives) over (
            partition by cells.source, cells.slice_type, cells.slice_id
            order by cells.score_bin
            rows between unbounded preceding and current row
        ) as bigint) - cells.positives as positives_below
    from cells
    inner join sizes
        on
            cells.source = sizes.source
            and cells.slice_type = sizes.slice_type
            and cells.slice_id = sizes.slice_id
            and sizes.size_rank <= {{ policy_value('return_slice_members') }}

),

measured as (

    select
        *,
        floor(10 * n_below / all_n) as decile,
        (n_below - positives_below + (n - positives) / 2)
        / nullif(all_n - all_positives, 0) as negatives_below_share,
        (all_positives - positives_below - positives / 2)
        / nullif(all_positives, 0) as positives_above_share,
        (all_positives - positives_below) / (all_n - n_below) as precision_from_here,
    {%- for budget in budgets %}
    positives * greatest(
        0, least(1, (greatest(1, {{ budget }} * all_n / 100) - (all_n - n_below - n)) / n)
    ) as hits_{{ budget }}
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
    from ranked

),

decile_gaps as (

    select
        source,
        slice_type,
        slice_id,
        abs(sum(predicted) - sum(positives)) as gap
    from measured
    group by source, slice_type, slice_id, decile

),

deciles as (

    select
        source,
        slice_type,
        slice_id,
        sum(gap) as gap
    from decile_gaps
    group by source, slice_type, slice_id

),

slices as (

    select
        source,
        slice_type,
        slice_id,
        max(all_n) as n,
        max(all_positives) as positives,
        cast(sum(true_positives) as bigint) as true_positives,
        cast(sum(false_positives) as bigint) as false_positives,
        sum(brier) / cast(max(all_n) as double) as brier,
        sum(brier_squares) / cast(max(all_n) as double) as brier_square,
        sum(log_loss) / cast(max(all_n) as double) as log_loss,
        sum(log_loss_squares) / cast(max(all_n) as double) as log_loss_square,
        cast(sum({{ exact('positives * negatives_below_share') }}) as double)
        / nullif(max(all_positives), 0) as roc_auc,
        cast(sum({{ exact('positives * power(negatives_below_share, 2)') }}) as double)
            as below_squares,
        cast(sum({{ exact('(n - positives) * power(positives_above_share, 2)') }}) as double)
            as above_squares,
        {%- for budget in budgets %}
        cast(sum({{ exact('hits_' ~ budget) }}) as double) as hits_{{ budget }},
        {%- endfor %}
        cast(sum({{ exact('positives * precision_from_here') }}) as double)
        / nullif(max(all_positives), 0) as pr_auc
    from measured
    group by source, slice_type, slice_id

),

levels as (

    select levels.z
    from {{ ref('policy_confidence_levels') }} as levels
    inner join {{ ref('policy_parameters') }} as parameters
        on levels.confidence_percent = parameters.value
    where parameters.policy_name = 'interval_confidence_percent'

),

-- DeLong (1988) for the area under ROC, Boyd, Eng, Page (2013) for that under precision and recall
deviated as (

    select
        slices.*,
        deciles.gap / cast(slices.n as double) as calibration_error,
        slices.n - slices.positives as negatives,
        slices.true_positives + slices.false_positives as said,
        slices.positives - slices.true_positives as false_negatives,
        slices.n - slices.positives - slices.false_positives as true_negatives,
        levels.z,
        case
            when slices.positives > 1 and slices.n - slices.positives > 1
                then
                levels.z * sqrt(greatest(0, (
                    slices.below_squares - slices.positives * slices.roc_auc * slices.roc_auc
                )) / (slices.positives - 1) / slices.positives
                + greatest(0, (
                    slices.above_squares
                    - (slices.n - slices.positives) * slices.roc_auc * slices.roc_auc
                )) / (slices.n - slices.positives - 1) / (slices.n - slices.positives))
        end as roc_auc_half,
        ln(
            greatest(slices.pr_auc, 0.000000001)
            / greatest(1 - slices.pr_auc, 0.000000001)
        ) as pr_auc_logit,
        levels.z / sqrt(
            slices.positives
            * greatest(slices.pr_auc, 0.000000001) * greatest(1 - slices.pr_auc, 0.000000001)
        ) as pr_auc_half
    from slices
    inner join deciles
        on
            slices.source = deciles.source
            and slices.slice_type = deciles.slice_type
            and slices.slice_id = deciles.slice_id
    cross join levels

),

{%- set shares = {
    'base_rate': ['positives', 'n', 'n > 0'],
    'accuracy': ['(true_positives + true_negatives)', 'n', 'n > 0'],
    'precision': ['true_positives', 'said', 'said > 0'],
    'recall': ['true_positives', 'positives', 'positives > 0'],
} %}

listed as (

    {%- for name, parts in shares.items() %}

    select
        source,
        'metric' as record,
        slice_type,
        slice_id,
        '{{ name }}' as name,
        {{ parts[0] }} / {{ parts[1] }} as value,
        {{ wilson(parts[0], parts[1], '(-z)') }} as lo,
        {{ wilson(parts[0], parts[1], 'z') }} as hi,
        {{ 'n' if name == 'recall' else parts[1] }}
    from deviated
    where {{ parts[2] }}

    union all
    {%- endfor %}

    -- 2j / (1 + j) of the share j of hits among all that was said or is
    select
        source,
        'metric' as record,
        slice_type,
        slice_id,
        'f1' as name,
        2 * true_positives / (2 * true_positives + false_positives + false_negatives) as value,
        2 * {{ wilson('true_positives', '(said + false_negatives)', '(-z)') }}
        / (1 + {{ wilson('true_positives', '(said + false_negatives)', '(-z)') }}) as lo,
        2 * {{ wilson('true_positives', '(said + false_negatives)', 'z') }}
        / (1 + {{ wilson('true_positives', '(said + false_negatives)', 'z') }}) as hi,
        said + false_negatives as n
    from deviated
    where positives > 0

    {%- for name in ['brier', 'log_loss'] %}

    union all

    select
        source,
        'metric' as record,
        slice_type,
        slice_id,
        '{{ name }}' as name,
        {{ name }} as value,
        {{ name }} - z * sqrt(greatest(0, {{ name }}_square - {{ name }} * {{ name }}) / n) as lo,
        {{ name }} + z * sqrt(greatest(0, {{ name }}_square - {{ name }} * {{ name }}) / n) as hi,
        n
    from deviated
    {%- endfor %}

    union all

    select
        source,
        'metric' as record,
        slice_type,
        slice_id,
        'calibration_error' as name,
        calibration_error as value,
        null as lo,
        null as hi,
        n
    from deviated

    union all

    select
        source,
        'metric' as record,
        slice_type,
        slice_id,
        'roc_auc' as name,
        roc_auc as value,
        greatest(0, roc_auc - roc_auc_half) as lo,
        least(1, roc_auc + roc_auc_half) as hi,
        n
    from deviated
    where roc_auc_half is not null

    union all

    select
        source,
        'metric' as record,
        slice_type,
        slice_id,
        'pr_auc' as name,
        pr_auc as value,
        1 / (1 + exp(pr_auc_half - pr_auc_logit)) as lo,
        1 / (1 + exp(-pr_auc_half - pr_auc_logit)) as hi,
        n
    from deviated
    where roc_auc_half is not null

    {%- for budget in budgets %}
    {%- set taken = 'greatest(1, ' ~ budget ~ ' * n / 100)' %}

    union all

    select
        source,
        'metric' as record,
        slice_type,
        slice_id,
        'lift_{{ budget }}' as name,
        hits_{{ budget }} / {{ taken }} * n / positives as value,
        {{ wilson('hits_' ~ budget, taken, '(-z)') }} * n / positives as lo,
        {{ wilson('hits_' ~ budget, taken, 'z') }} * n / positives as hi,
        cast(ceil({{ taken }}) as bigint) as n
    from deviated
    where roc_auc_half is not null
    {%- endfor %}

    {%- for name in counts %}

    union all

    -- lo holds the threshold
    select
        source,
        'confusion' as record,
        slice_type,
        slice_id,
        '{{ name }}' as name,
        {{ name }} as value,
        {{ policy_value('return_threshold_percent') }} / 100 as lo,
        null as hi,
        n
    from deviated
    {%- endfor %}

),

final as (

    select
        source,
        record,
        slice_type,
        slice_id,
        name,
        cast(value as double) as value,
        cast(lo as double) as lo,
        cast(hi as double) as hi,
        cast(n as bigint) as n
    from listed

)

select * from final
