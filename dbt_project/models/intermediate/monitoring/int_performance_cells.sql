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

with scores as (

    select
        source,
        order_line_id,
        log_odds,
        -- no probability is 0 or 1, whatever the log-odds
        least(greatest(return_probability, 0.000000001), 0.999999999) as p
    from {{ ref('order_return_scores') }}
    where is_out_of_sample

),

-- what is delivered or on its way
order_lines as (

    select * from {{ ref('order_lines') }}
    where return_class in ('kept', 'returned', 'open') and is_returned is not null

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

-- the segment that the customer had at the end of the month before the order
segments as (

    select
        assignments.source,
        assignments.customer_id,
        {{ month_start(dbt.dateadd('day', 1, 'assignments.as_of_date')) }} as month_start,
        clusters.segment_name
    from {{ ref('int_segment_assignments') }} as assignments
    inner join {{ ref('int_segment_clusters') }} as clusters
        on
            assignments.source = clusters.source
            and assignments.as_of_date = clusters.as_of_date
            and assignments.cluster_id = clusters.cluster_id
    where extract(day from {{ dbt.dateadd('day', 1, 'assignments.as_of_date') }}) = 1

),

lines as (

    select
        order_lines.source,
        {{ week_start('order_lines.ordered_date') }} as week_start,
        {{ month_start('order_lines.ordered_date') }} as month_start,
        order_lines.ordered_date,
        order_lines.marketplace,
        order_lines.category,
        case
            when order_lines.customer_id is null then '(guest)'
            else coalesce(segments.segment_name, '(no segment yet)')
        end as segment_name,
        cast(floor(100 * scores.log_odds) as int) as score_bin,
        scores.p,
        100 * scores.p >= {{ policy_value('return_threshold_percent') }} as is_said,
        {{ days_between('order_lines.ordered_date', 'order_lines.as_of_date') }}
        >= {{ window_days }} as is_known,
        least(
            1, cast(order_lines.maturity as double) / coalesce(window_shares.window_share, 1)
        ) as maturity,
        cast(order_lines.maturity_se as double) as maturity_se,
        case
            when
                order_lines.is_returned
                and coalesce(
                    {{ days_between('order_lines.ordered_date', 'order_lines.first_returned_at') }}
                    <= {{ window_days }},
                    true
                )
                then 1
            else 0
        end as came_back
    from order_lines
    inner join scores
        on
            order_lines.source = scores.source
            and order_lines.order_line_id = scores.order_line_id
    left join window_shares
        on order_lines.source = window_shares.source
    left join segments
        on
            order_lines.source = segments.source
            and order_lines.customer_id = segments.customer_id
            and {{ month_start('order_lines.ordered_date') }} = segments.month_start

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
