-- Monitor: does the model still hold, as known at the end of each week? What came back in the last
-- four weeks of lines that were scored before, against what the scores said at the usual pace; the
-- ranking of the latest four weeks whose outcomes were known, against what the scores themselves
-- let expect; and what they let expect of the week. While returns come at another pace nothing is
-- said of their number.

{%- set last = alert_lags() %}
{%- set base = 26 %}
{%- set margin -%}
(cast({{ policy_value('performance_calibration_percent') }} as double) / 100)
{%- endset %}
{%- set least_auc -%}
(cast({{ policy_value('return_min_auc_permille') }} as double) / 1000)
{%- endset %}

with sources as (

    select
        source,
        {{ week_number(dbt.dateadd('day', 1, 'as_of_date')) }} - 1 as last_week
    from {{ ref('int_sources') }}
    where has_returns

),

scores as (

    select * from {{ ref('order_return_scores') }} where is_out_of_sample

),

-- a line that was cancelled in a later week counts as sold and kept: at the end of its own nobody
-- knew
order_lines as (

    select * from {{ ref('order_lines') }}
    where
        return_class not in ('unknown', 'undelivered')
        and (
            is_sale or {{ week_number('cancelled_at') }} > {{ week_number('ordered_date') }}
        )

),

lines as (

    select
        scores.source,
        {{ week_number('scores.ordered_date') }} as sale_week,
        scores.return_probability,
        scores.has_signal,
        case
            when
                order_lines.return_count > 0
                and {{ days_between('order_lines.ordered_date', 'order_lines.first_returned_at') }}
                <= {{ var('return_window_days') | int }}
                then {{ week_number('order_lines.first_returned_at') }}
        end as returned_week
    from scores
    inner join order_lines
        on
            scores.source = order_lines.source
            and scores.order_line_id = order_lines.order_line_id
    inner join sources
        on
            scores.source = sources.source
            and {{ week_number('scores.ordered_date') }} <= sources.last_week

),

said as (

    select
        source,
        sale_week,
        count(*) as lines,
        max(case when has_signal then 1 else 0 end) as has_signal,
        cast(sum({{ exact('return_probability') }}) as double) as expected
    from lines
    group by source, sale_week

),

came as (

    select
        source,
        returned_week as week_no,
        cast(count(*) as double) as observed
    from lines
    where returned_week is not null
    group by source, returned_week

),

-- how old returns are when they come, by the sales that were complete by then
returned as (

    select
        source,
        {{ week_number('ordered_date') }} as sale_week,
        {{ week_number('returned_date') }} - {{ week_number('ordered_date') }} as age_weeks,
        cast(sum(return_count) as double) as return_count
    from {{ ref('int_return_cells') }}
    where days_to_return between 0 and {{ var('return_window_days') | int }}
    group by
        source,
        {{ week_number('ordered_date') }},
        {{ week_number('returned_date') }} - {{ week_number('ordered_date') }}

),

ages as (

    select {{ each_number(0, last + 1) }} as age_weeks

),

calendar as (

    select
        said.source,
        said.sale_week + ages.age_weeks as week_no
    from said
    cross join ages
    inner join sources
        on
            said.source = sources.source
            and said.sale_week + ages.age_weeks <= sources.last_week
    group by said.source, said.sale_week + ages.age_weeks

),

paces as (

    select
        calendar.source,
        calendar.week_no,
        returned.age_weeks,
        sum(returned.return_count)
        / sum(sum(returned.return_count)) over (partition by calendar.source, calendar.week_no)
            as age_share
    from calendar
    inner join returned
        on
            calendar.source = returned.source
            and returned.sale_week < calendar.week_no - {{ last }}
            and returned.sale_week >= calendar.week_no - {{ last }} - {{ base }}
    group by calendar.source, calendar.week_no, returned.age_weeks

),

expected as (

    select
        paces.source,
        paces.week_no,
        cast(sum({{ exact('said.expected * paces.age_share') }}) as double) as expected,
        max(case when said.sale_week = paces.week_no then said.lines end) as lines
    from paces
    inner join said
        on
            paces.source = said.source
            and paces.week_no - paces.age_weeks = said.sale_week
    group by paces.source, paces.week_no

),

weeks as (

    select
        expected.source,
        expected.week_no,
        expected.lines,
        expected.expected,
        coalesce(came.observed, 0) as observed,
        coalesce(came.observed, 0) / nullif(expected.expected, 0) as ratio
    from expected
    left join came
        on
            expected.source = came.source
            and expected.week_no = came.week_no

),

followed as (

    select
        *,
        case
            when lag(week_no) over (partition by source order by week_no) = week_no - 1
                then
                power(ratio - lag(ratio) over (partition by source order by week_no), 2)
                / (1 / expected + 1 / lag(expected) over (partition by source order by week_no))
        end as square
    from weeks
    where expected > 0

),

-- how much more than by chance weeks vary around each other, whatever their level
dispersions as (

    select
        followed.source,
        followed.week_no,
        greatest(1, percentile_cont(0.5) within group (order by earlier.square) / 0.4549)
            as dispersion
    from followed
    inner join followed as earlier
        on
            followed.source = earlier.source
            and followed.week_no >= earlier.week_no
            and earlier.week_no > followed.week_no - {{ base }}
            and earlier.square is not null
    group by followed.source, followed.week_no
    having count(*) >= {{ policy_value('label_alert_min_weeks') }}

),

paced as (

    select
        source,
        week_no,
        max(case when is_large_enough then 1 else 0 end) as is_label_moved
    from {{ ref('int_alert_candidates_labels') }}
    where entity_type = 'source'
    group by source, week_no

),

recent as (

    select
        followed.source,
        followed.week_no,
        max(dispersions.dispersion) as dispersion,
        sum(earlier.observed) as observed,
        cast(sum({{ exact('earlier.expected') }}) as double) as expected,
        coalesce(max(paced.is_label_moved), 0) as is_label_moved,
        7 * count(*) as window_days
    from followed
    inner join dispersions
        on
            followed.source = dispersions.source
            and followed.week_no = dispersions.week_no
    inner join followed as earlier
        on
            followed.source = earlier.source
            and earlier.week_no between followed.week_no - 3 and followed.week_no
    left join paced
        on
            earlier.source = paced.source
            and earlier.week_no = paced.week_no
    group by followed.source, followed.week_no

),

levels as (

    select
        recent.source,
        recent.week_no,
        recent.window_days,
        recent.observed,
        recent.expected,
        recent.observed / recent.expected as ratio,
        sqrt(recent.dispersion / recent.expected) as ratio_error,
        recent.is_label_moved,
        costs.cost_per_return
    from recent
    left join {{ ref('int_return_costs_held') }} as costs
        on
            recent.source = costs.source
            and costs.entity_type = 'all'
    where recent.expected >= {{ policy_value('performance_min_expected_returns') }}

),

levelled as (

    select
        *,
        abs(ratio - 1) as distance,
        (abs(ratio - 1) - {{ margin }}) / ratio_error as z_score
    from levels

),

figures as (

    select
        source,
        {{ week_number('period_start') }} as sale_week,
        line_count,
        expected_auc,
        expected_auc_half / half_z as expected_auc_error,
        case when is_mature and roc_auc_half is not null then roc_auc end as roc_auc
    from {{ ref('int_performance_figures') }}
    where period_grain = 'week' and entity_type = 'all' and expected_auc is not null

),

rankings as (

    select
        calendar.source,
        calendar.week_no,
        calendar.week_no - {{ last }} as end_week,
        7 * count(*) as window_days,
        sum(figures.line_count) as lines,
        cast(sum({{ exact('figures.roc_auc') }}) as double) / count(*) as roc_auc,
        cast(sum({{ exact('figures.expected_auc') }}) as double) / count(*) as expected_auc,
        sqrt(cast(sum({{ exact('power(figures.expected_auc_error, 2)') }}) as double)) / count(*)
            as auc_error
    from calendar
    inner join figures
        on
            calendar.source = figures.source
            and figures.sale_week
            between calendar.week_no - {{ last }} - 3 and calendar.week_no - {{ last }}
            and figures.roc_auc is not null
    group by calendar.source, calendar.week_no

    union all

    select
        source,
        sale_week as week_no,
        sale_week as end_week,
        7 as window_days,
        line_count as lines,
        cast(null as double) as roc_auc,
        expected_auc,
        expected_auc_error as auc_error
    from figures

),

-- a model that never told returns from sales is not in use: its ranking cannot fall
fallen as (

    select
        rankings.*,
        coalesce(rankings.expected_auc - rankings.roc_auc, {{ least_auc }} - rankings.expected_auc)
            as fall,
        coalesce(rankings.expected_auc - rankings.roc_auc, {{ least_auc }} - rankings.expected_auc)
        / rankings.auc_error as z_score
    from rankings
    inner join said
        on
            rankings.source = said.source
            and rankings.end_week = said.sale_week
            and said.has_signal = 1
    where rankings.auc_error > 0 and rankings.expected_auc > 0.5

),

listed as (

    select
        source,
        'calibration' as monitor,
        'calibration' as metric,
        window_days,
        week_no,
        week_no as end_week,
        cast(null as bigint) as lines,
        observed,
        expected,
        1 + distance as effect,
        1 + greatest(0, distance - 1.96 * ratio_error) as effect_lo,
        z_score,
        distance - 1.644853627 * ratio_error > {{ margin }} and is_label_moved = 0
            as is_large_enough,
        2 * distance <= {{ margin }} as is_small,
        observed - expected as excess_returns,
        {{ money('distance * expected * cost_per_return') }} as money_at_risk,
        concat(
            'Return probabilities are too ', case when ratio > 1 then 'low: ' else 'high: ' end,
            {{ whole_number_text('observed') }}, ' of the lines that were scored came back in the ',
            cast(window_days as string), ' days up to ',
            {{ period_text(week_end('week_no'), week_end('week_no')) }}, ', the scores said ',
            {{ whole_number_text('expected') }},
            '. Correct their level before acting on them; see model_health and model_promotions.'
        ) as sentence
    from levelled

    union all

    select
        source,
        'ranking' as monitor,
        'ranking' as metric,
        window_days,
        week_no,
        end_week,
        cast(lines as bigint) as lines,
        cast(null as double) as observed,
        cast(null as double) as expected,
        1 + greatest(fall, 0) / (coalesce(roc_auc, {{ least_auc }}) - 0.5 + greatest(fall, 0))
            as effect,
        cast(null as double) as effect_lo,
        z_score,
        case
            when roc_auc is null then fall > 0
            else
                1000 * fall > {{ policy_value('performance_auc_fall_permille') }}
                or roc_auc < {{ least_auc }}
        end as is_large_enough,
        2000 * fall <= {{ policy_value('performance_auc_fall_permille') }} as is_small,
        cast(null as double) as excess_returns,
        cast(null as decimal(18, 4)) as money_at_risk,
        concat(
            case
                when roc_auc is null then 'The scores hardly tell returns from sales: going by '
                else 'The scores rank worse than they should: of orders whose outcome is known '
            end,
            case
                when roc_auc is null
                    then
                    concat(
                        'themselves they rank ', {{ percent_text('expected_auc') }},
                        ' % of pairs rightly, which chance would do as well'
                    )
                else
                    concat(
                        {{ percent_text('roc_auc') }}, ' % of pairs were ranked rightly, ',
                        {{ percent_text('expected_auc') }}, ' % were to be expected'
                    )
            end,
            '. Do not act on single scores until a new model is tested; see model_promotions.'
        ) as sentence
    from fallen

),

final as (

    select
        listed.source,
        listed.monitor,
        'model' as entity_type,
        'return model' as entity_id,
        listed.metric,
        cast(listed.window_days as bigint) as window_days,
        listed.week_no,
        listed.end_week,
        listed.lines,
        listed.observed,
        listed.expected,
        listed.effect,
        listed.effect_lo,
        {{ normal_tail('listed.z_score') }} as p_value,
        listed.is_large_enough,
        listed.is_small,
        listed.excess_returns,
        listed.money_at_risk,
        cast(null as string) as compared_with,
        listed.sentence
    from listed
    inner join sources
        on
            listed.source = sources.source
            and listed.week_no
            >= {{ policy_value('alert_replay_weeks') }} * (
                floor(sources.last_week / {{ policy_value('alert_replay_weeks') }}) - 1
            )

)

select * from final
