-- Lines that a model scored without having seen them, as sums per week, month, member and score:
-- all that performance needs, whether their outcome is known yet or not. Lines whose log-odds agree
-- to a hundredth are one cell.

{% set window_days = var('return_window_days') | int -%}
{% set sums = {
    'expected': 'p',
    'spread': 'p * (1 - p)',
    'said_expected': 'case when is_said then p else 0 end',
    'said_spread': 'case when is_said then p * (1 - p) else 0 end',
    'brier_variance': 'p * (1 - p) * power(1 - 2 * p, 2)',
    'expected_log_loss': '-p * ln(p) - (1 - p) * ln(1 - p)',
    'log_loss_variance': 'p * (1 - p) * power(ln(p / (1 - p)), 2)',
    'expected_so_far': 'p * maturity',
    'so_far_variance': 'p * maturity * (1 - p * maturity)',
    'so_far_error': 'p * maturity_se',
    'brier': 'power(p - came_back, 2)',
    'brier_squares': 'power(p - came_back, 4)',
    'log_loss': 'log_loss',
    'log_loss_squares': 'log_loss * log_loss',
} -%}

with outcomes as (

    select * from {{ ref('int_score_outcomes') }}

),

-- of the returns that come at all, the share that comes within the window
window_shares as (

    select
        curves.source,
        greatest(cast(curves.completion as double), 0.01) as window_share
    from {{ ref('int_completion_curves') }} as curves
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on
            curves.source = as_of_dates.source
            and curves.as_of_date = as_of_dates.as_of_date
            and as_of_dates.is_current
    where curves.level = 0 and curves.age_days = least(
            {{ window_days }}, {{ policy_value('completion_max_age_days') }}
        )

),

lines as (

    select
        outcomes.source,
        {{ week_start('outcomes.ordered_date') }} as week_start,
        {{ month_start('outcomes.ordered_date') }} as month_start,
        outcomes.ordered_date,
        outcomes.marketplace,
        outcomes.category,
        outcomes.segment_name,
        cast(floor(100 * outcomes.log_odds) as int) as score_bin,
        -- no probability is 0 or 1, whatever the log-odds
        least(greatest(outcomes.return_probability, 0.000000001), 0.999999999) as p,
        100 * outcomes.return_probability >= {{ policy_value('return_threshold_percent') }}
            as is_said,
        outcomes.is_known,
        case
            when outcomes.maturity is not null
                then least(1, outcomes.maturity / coalesce(window_shares.window_share, 1))
        end as maturity,
        outcomes.maturity_se,
        outcomes.came_back
    from outcomes
    left join window_shares
        on outcomes.source = window_shares.source

),

-- where the source has no curve nothing is known of a line until its window is over
judged as (

    select
        source,
        week_start,
        month_start,
        ordered_date,
        marketplace,
        category,
        segment_name,
        score_bin,
        p,
        is_said,
        is_known,
        came_back,
        -ln(case when came_back = 1 then p else 1 - p end) as log_loss,
        case when is_known then 1 else coalesce(maturity, 0) end as maturity,
        case when is_known then 0 else coalesce(maturity_se, 0) end as maturity_se,
        case when is_known or maturity is not null then came_back else 0 end as came_back_so_far
    from lines

),

final as (

    select
        source,
        week_start,
        month_start,
        marketplace,
        category,
        segment_name,
        score_bin,
        min(ordered_date) as first_date,
        max(ordered_date) as last_date,
        count(*) as line_count,
        cast(sum(case when is_known then 1 else 0 end) as bigint) as known_count,
        cast(sum(case when is_said then 1 else 0 end) as bigint) as said_count,
        cast(sum(came_back_so_far) as bigint) as returned_so_far,
        cast(sum(came_back) as bigint) as positives,
        cast(sum(case when is_said then came_back else 0 end) as bigint) as true_positives,
        {%- for name, expression in sums.items() %}
        sum({{ exact(expression) }}) as {{ name }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from judged
    group by
        source, week_start, month_start, marketplace, category, segment_name, score_bin

)

select * from final
