-- What was known at the end of each replayed week: of the lines sold in the last weeks, how many
-- had come back and how many had to be expected back by then. Like is compared with like: lines of
-- the same marketplace and category, so and so many weeks after their sale. Sellers and products
-- are held against what others sold in the same weeks, everything larger against its own year
-- before. A product is followed in the weeks in which it has sold enough in the year up to then.

{%- set last = alert_lags() %}
{%- set reach = [last, 8] | max %}
{%- set prior = policy_value('case_mix_prior_lines') %}
{%- set near = 'range between 7 preceding and current row' %}
{%- set far = 'range between 60 preceding and 9 preceding' %}

with sales as (

    select * from {{ ref('int_alert_sales') }}

),

entities as (

    select * from {{ ref('int_alert_entities') }}

),

cells as (

    select
        entities.source,
        entities.marketplace,
        entities.category,
        sales.*
    from sales
    inner join entities
        on sales.entity_no = entities.entity_no
    where sales.entity_no = sales.cell_no

),

-- the last two months and the year before them, of the cell and of all that it is part of
trails as (

    select
        source,
        marketplace,
        category,
        cell_no,
        week_no,
        lines,
        {%- for lag in range(last + 1) %}
        came_{{ lag }},
        {%- endfor %}
        {%- for level, keys in [
            ('cell', 'source, marketplace, category'), ('category', 'source, category'),
            ('all', 'source'),
        ] %}
        {%- for span, frame in [('near', near), ('far', far)] %}
        {%- for column in ['lines'] + range(last + 1) | map('string') | list %}
        cast(
            sum({{ column if column == 'lines' else 'came_' ~ column }}) over (
                partition by {{ keys }} order by week_no {{ frame }}
            ) as double
        ) as {{ level }}_{{ span }}_{{ column }},
        {%- endfor %}
        {%- endfor %}
        {%- endfor %}
        cast(lines as double) as sold
    from cells

),

{%- for span in ['near', 'far'] %}

category_{{ span }} as (

    select
        {%- for lag in range(last + 1) %}
        (
            category_{{ span }}_{{ lag }}
            + {{ prior }} * all_{{ span }}_{{ lag }} / nullif(all_{{ span }}_lines, 0)
        )
        / (category_{{ span }}_lines + {{ prior }}) as category_rate_{{ lag }},
        {%- endfor %}
        *
    from trails
    where category_{{ span }}_lines >= {{ policy_value('risk_min_benchmark_lines') }}

),
{%- endfor %}

-- a seller's own lines are no part of what it is compared with
own as (

    select
        {%- for column in ['lines'] + range(last + 1) | map('string') | list %}
        cast(
            sum({{ column if column == 'lines' else 'came_' ~ column }}) over (
                partition by entity_no, cell_no order by week_no {{ near }}
            ) as double
        ) as own_{{ column }},
        {%- endfor %}
        *
    from sales
    where entity_no <> cell_no

),

-- the others' rate of the last two months, and from it that of the same week
held as (

    select
        own.entity_no,
        own.week_no,
        own.lines,
        {%- for lag in range(last + 1) %}
        own.came_{{ lag }},
        benchmarks.came_{{ lag }} - own.came_{{ lag }} as others_{{ lag }},
        (
            benchmarks.cell_near_{{ lag }} - own.own_{{ lag }}
            + {{ prior }} * benchmarks.category_rate_{{ lag }}
        )
        / (benchmarks.cell_near_lines - own.own_lines + {{ prior }}) as near_rate_{{ lag }},
        {%- endfor %}
        benchmarks.lines - own.lines as others_lines
    from own
    inner join category_near as benchmarks
        on
            own.cell_no = benchmarks.cell_no
            and own.week_no = benchmarks.week_no

),

rated as (

    select
        entity_no,
        week_no,
        lines,
        {%- for lag in range(last + 1) %}
        came_{{ lag }},
        (others_{{ lag }} + {{ prior }} * near_rate_{{ lag }}) / (others_lines + {{ prior }})
            as rate_{{ lag }},
        {%- endfor %}
        lines / (others_lines + cast({{ prior }} as double)) as weight
    from held

    {%- for entity_type, entity_id in [
        ('category of a marketplace', "concat(category_far.marketplace, ' / ', category_far.category)"),
        ('category', 'category_far.category'), ('marketplace', 'category_far.marketplace'),
        ('all', "'all'"),
    ] %}

    union all

    select
        entities.entity_no,
        category_far.week_no,
        category_far.lines,
        {%- for lag in range(last + 1) %}
        category_far.came_{{ lag }},
        (category_far.cell_far_{{ lag }} + {{ prior }} * category_far.category_rate_{{ lag }})
        / (category_far.cell_far_lines + {{ prior }}) as rate_{{ lag }},
        {%- endfor %}
        category_far.lines / (category_far.cell_far_lines + {{ prior }}) as weight
    from category_far
    inner join entities
        on
            category_far.source = entities.source
            and entities.entity_type = '{{ entity_type }}'
            and {{ entity_id }} = entities.entity_id
    {%- endfor %}

),

{%- set facts = {
    'came': 'came', 'expected': 'lines * rate', 'squares': 'lines * rate * rate',
    'variance': 'lines * weight * rate * (1 - rate)',
} %}

-- each week's sales once all has come; counted in whole millionths: no sum depends on the order of
-- rows, and doubles add up in half the time that decimals take
complete as (

    select
        entity_no,
        week_no,
        sum(cast(lines as double)) as lines,
        sum(cast(came_{{ last }} as double)) as came,
        {%- for fact, value in facts.items() if fact != 'came' %}
        sum(round(1000000 * {{ value | replace('rate', 'rate_' ~ last) }})) as {{ fact }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from rated
    group by entity_no, week_no

),

spans as (

    select
        source,
        min(week_no) as first_week,
        max(week_no) as last_week
    from cells
    group by source

),

numbers as (

    select {{ each_number(0, 32) }} as number

),

-- every week from an entity's first sale on, so that so many weeks ago is so many rows ago
spine as (

    select
        begun.entity_no,
        begun.begun_week + 32 * thirties.number + ones.number as week_no
    from (
        select
            complete.entity_no,
            spans.last_week,
            min(complete.week_no) as begun_week
        from complete
        inner join entities
            on complete.entity_no = entities.entity_no
        inner join spans
            on entities.source = spans.source
        group by complete.entity_no, spans.last_week
    ) as begun
    cross join numbers as thirties
    cross join numbers as ones
    where begun.begun_week + 32 * thirties.number + ones.number <= begun.last_week

),

-- up to the end of each week
grown as (

    select
        {%- for fact in ['lines'] + facts | list %}
        sum(coalesce(complete.{{ fact }}, 0)) over (
            partition by spine.entity_no order by spine.week_no
            rows between unbounded preceding and current row
        ) as {{ fact }},
        {%- endfor %}
        spine.entity_no,
        spine.week_no
    from spine
    left join complete
        on
            spine.entity_no = complete.entity_no
            and spine.week_no = complete.week_no

),

{%- set weeks_before = {
    'lines': [4, 8, reach, 52], 'came': [8, reach, 52, 61], 'expected': [4, 8, reach, 52, 61],
    'squares': [reach, 52], 'variance': [reach, 52],
} %}

framed as (

    select
        entity_no,
        week_no,
        {%- for fact, weeks in weeks_before.items() %}
        {%- for week in weeks | unique %}
        coalesce(
            lag({{ fact }}, {{ week }}) over (partition by entity_no order by week_no), 0
        ) as {{ fact }}_before_{{ week }},
        {%- endfor %}
        {%- endfor %}
        lead(came, 26) over (partition by entity_no order by week_no) as came_later,
        lead(expected, 26) over (partition by entity_no order by week_no) as expected_later,
        lines,
        came,
        expected
    from grown

),

-- the weeks of whom anything is said
replayed as (

    select
        entities.source,
        entities.entity_type,
        entities.entity_id,
        spans.first_week,
        spans.last_week,
        framed.*
    from framed
    inner join entities
        on framed.entity_no = entities.entity_no
    inner join spans
        on entities.source = spans.source
    where
        framed.lines > framed.lines_before_{{ reach }}
        and framed.week_no
        >= {{ policy_value('alert_replay_weeks') }} * (
            floor(spans.last_week / {{ policy_value('alert_replay_weeks') }}) - 1
        )
        and (
            entities.entity_type <> 'product'
            or framed.lines - framed.lines_before_52
            >= {{ policy_value('alert_min_product_lines') }}
        )

),

lags as (

    select {{ each_number(0, reach) }} as lag_weeks

),

-- a week's sales as known some weeks later
known as (

    select
        rated.entity_no,
        rated.week_no + lags.lag_weeks as week_no,
        lags.lag_weeks,
        rated.lines,
        rated.weight,
        {%- for column in ['came', 'rate'] %}
        case lags.lag_weeks
            {%- for lag in range(reach) %}
            when {{ lag }} then rated.{{ column }}_{{ [lag, last] | min }}
            {%- endfor %}
        end as {{ column }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from rated
    cross join lags

),

wanted as (

    select
        known.entity_no,
        known.week_no,
        known.lag_weeks,
        known.lines,
        known.weight,
        known.rate,
        known.came
    from known
    inner join replayed
        on
            known.entity_no = replayed.entity_no
            and known.week_no = replayed.week_no

),

counted as (

    select
        entity_no,
        week_no,
        lag_weeks,
        cast(came as double) as came,
        {%- for fact, value in facts.items() if fact != 'came' %}
        round(1000000 * {{ value }}) as {{ fact }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from wanted

),

summed as (

    select
        entity_no,
        week_no,
        {%- for window in [4, 8, reach] %}
        {%- set name = 'young' if loop.last else window %}
        {%- set is_last_window = loop.last %}
        {%- for fact in facts %}
        sum(case when lag_weeks < {{ window }} then {{ fact }} else 0 end) as {{ fact }}_{{ name }}
        {%- if not (is_last_window and loop.last) %},{% endif %}
        {%- endfor %}
        {%- endfor %}
    from counted
    group by entity_no, week_no

),

final as (

    select
        replayed.source,
        replayed.entity_type,
        replayed.entity_id,
        replayed.entity_no,
        replayed.week_no,
        replayed.first_week,
        replayed.last_week,
        {%- for window in [4, 8] %}
        cast(replayed.lines - replayed.lines_before_{{ window }} as bigint) as lines_{{ window }},
        cast(summed.came_{{ window }} as bigint) as observed_{{ window }},
        {%- for fact in ['expected', 'squares', 'variance'] %}
        summed.{{ fact }}_{{ window }} / 1000000 as {{ fact }}_{{ window }},
        {%- endfor %}
        (replayed.expected - replayed.expected_before_{{ window }}) / 1000000
            as final_expected_{{ window }},
        {%- endfor %}
        cast(replayed.lines - replayed.lines_before_52 as bigint) as lines_52,
        cast(
            summed.came_young + replayed.came_before_{{ reach }} - replayed.came_before_52 as bigint
        ) as observed_52,
        {%- for fact in ['expected', 'squares', 'variance'] %}
        (
            summed.{{ fact }}_young
            + replayed.{{ fact }}_before_{{ reach }}
            - replayed.{{ fact }}_before_52
        ) / 1000000 as {{ fact }}_52,
        {%- endfor %}
        (replayed.expected - replayed.expected_before_52) / 1000000 as final_expected_52,
        replayed.came_before_{{ reach }} - replayed.came_before_61 as past_observed,
        (replayed.expected_before_{{ reach }} - replayed.expected_before_61) / 1000000
            as past_expected,
        -- how it ended: of these weeks once complete, and of the half year after them
        case
            when replayed.week_no + {{ last }} <= replayed.last_week
                then replayed.came - replayed.came_before_8
        end as final_observed_8,
        case
            when replayed.week_no + 26 + {{ last }} <= replayed.last_week
                then replayed.came_later - replayed.came
        end as next_observed,
        case
            when replayed.week_no + 26 + {{ last }} <= replayed.last_week
                then (replayed.expected_later - replayed.expected) / 1000000
        end as next_expected
    from replayed
    inner join summed
        on
            replayed.entity_no = summed.entity_no
            and replayed.week_no = summed.week_no

)

select * from final
