-- What was known at the end of each replayed week: of the lines sold in the last weeks, how many
-- had come back and how many had to be expected back by then. Like is compared with like: lines of
-- the same marketplace and category, so and so many weeks after their sale. Sellers and products
-- are held against what others sold in the same weeks, everything larger against its own year
-- before. These counts are of what was known then; which products are followed, what a return
-- costs and which lines were cancelled later is known today.

{%- set last = alert_lags() %}
{%- set prior = policy_value('case_mix_prior_lines') %}
{%- set near = 'range between 7 preceding and current row' %}
{%- set far = 'range between 60 preceding and 9 preceding' %}

with sales as (

    select * from {{ ref('int_alert_sales') }}

),

cells as (

    select * from sales where entity_type = 'cell'

),

-- the last two months and the year before them, of the cell and of all that it is part of
trails as (

    select
        source,
        marketplace,
        category,
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
        row_number() over (order by source, marketplace, category, week_no) as trail_number
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
            sum(sales.{{ column if column == 'lines' else 'came_' ~ column }}) over (
                partition by
                    sales.source, sales.entity_type, sales.entity_id, sales.marketplace,
                    sales.category
                order by sales.week_no {{ near }}
            ) as double
        ) as own_{{ column }},
        {%- endfor %}
        sales.*
    from sales
    where sales.entity_type in ('seller', 'product')

),

-- the others' rate of the last two months, and from it that of the same week
held as (

    select
        own.source,
        own.entity_type,
        own.entity_id,
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
            own.source = benchmarks.source
            and own.marketplace = benchmarks.marketplace
            and own.category = benchmarks.category
            and own.week_no = benchmarks.week_no

),

rated as (

    select
        source,
        entity_type,
        entity_id,
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
        ('category of a marketplace', "concat(marketplace, ' / ', category)"),
        ('category', 'category'), ('marketplace', 'marketplace'),
    ] %}

    union all

    select
        source,
        '{{ entity_type }}' as entity_type,
        {{ entity_id }} as entity_id,
        week_no,
        lines,
        {%- for lag in range(last + 1) %}
        came_{{ lag }},
        (cell_far_{{ lag }} + {{ prior }} * category_rate_{{ lag }})
        / (cell_far_lines + {{ prior }}) as rate_{{ lag }},
        {%- endfor %}
        lines / (cell_far_lines + {{ prior }}) as weight
    from category_far
    {%- endfor %}

),

-- rounded before they are added up, so that no sum depends on the order of rows
weeks as (

    select
        source,
        entity_type,
        entity_id,
        week_no,
        {%- for lag in range(last + 1) %}
        sum(came_{{ lag }}) as came_{{ lag }},
        sum(cast(lines * rate_{{ lag }} as decimal(18, 6))) as expected_{{ lag }},
        sum(cast(lines * rate_{{ lag }} * rate_{{ lag }} as decimal(18, 6))) as squares_{{ lag }},
        sum(
            cast(lines * weight * rate_{{ lag }} * (1 - rate_{{ lag }}) as decimal(18, 6))
        ) as variance_{{ lag }},
        {%- endfor %}
        sum(lines) as lines
    from rated
    group by source, entity_type, entity_id, week_no

),

lags as (

    select {{ each_number(0, last + 1) }} as lag_weeks

),

-- a week's sales as known some weeks later; complete ones once more, as those of their own week
{%- set facts = ['came', 'expected', 'squares', 'variance'] %}

known as (

    select
        weeks.source,
        weeks.entity_type,
        weeks.entity_id,
        weeks.week_no + lags.lag_weeks as week_no,
        lags.lag_weeks,
        weeks.lines,
        {%- for fact in facts %}
        case lags.lag_weeks
            {%- for lag in range(last + 1) %}
            when {{ lag }} then weeks.{{ fact }}_{{ lag }}
            {%- endfor %}
        end as {{ fact }},
        {%- endfor %}
        {%- for fact in facts %}
        case when lags.lag_weeks = 0 then weeks.{{ fact }}_{{ last }} else 0 end
            as final_{{ fact }},
        {%- endfor %}
        case when lags.lag_weeks = 0 then weeks.lines else 0 end as sold
    from weeks
    cross join lags

),

summed as (

    select
        source,
        entity_type,
        entity_id,
        week_no,
        {%- for fact in ['lines'] + facts %}
        {%- for window in [4, 8, last] %}
        sum(case when lag_weeks < {{ window }} then {{ fact }} else 0 end)
            as {{ fact }}_{{ 'young' if loop.last else window }},
        {%- endfor %}
        {%- endfor %}
        sum(sold) as sold,
        {%- for fact in facts %}
        sum(final_{{ fact }}) as final_{{ fact }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from known
    group by source, entity_type, entity_id, week_no

),

{%- set frames = {
    'year': 'range between 51 preceding and ' ~ last ~ ' preceding',
    'past': 'range between 60 preceding and ' ~ last ~ ' preceding',
    'next': 'range between 1 following and 8 following',
    'window_4': 'range between 3 preceding and current row',
    'window_8': 'range between 7 preceding and current row',
    'window_52': 'range between 51 preceding and current row',
} %}

framed as (

    select
        *,
        {%- for name, columns in {
            'year': facts,
            'past': ['came', 'expected'],
            'next': ['came', 'expected'],
        }.items() %}
        {%- for column in columns %}
        coalesce(
            sum(final_{{ column }}) over (
                partition by source, entity_type, entity_id
                order by week_no {{ frames[name] }}
            ),
            0
        ) as {{ name }}_{{ column }},
        {%- endfor %}
        {%- endfor %}
        sum(final_came) over (
            partition by source, entity_type, entity_id
            order by week_no {{ frames['window_8'] }}
        ) as final_came_8,
        {%- for weeks in [4, 8, 52] %}
        sum(final_expected) over (
            partition by source, entity_type, entity_id
            order by week_no {{ frames['window_' ~ weeks] }}
        ) as final_expected_{{ weeks }},
        {%- endfor %}
        sum(sold) over (
            partition by source, entity_type, entity_id
            order by week_no {{ frames['window_52'] }}
        ) as lines_52
    from summed

),

spine as (

    select
        source,
        max(week_no) as last_week
    from cells
    group by source

),

final as (

    select
        framed.source,
        framed.entity_type,
        framed.entity_id,
        framed.week_no,
        spine.last_week,
        {%- for window in [4, 8] %}
        cast(framed.lines_{{ window }} as bigint) as lines_{{ window }},
        cast(framed.came_{{ window }} as bigint) as observed_{{ window }},
        {%- for fact in ['expected', 'squares', 'variance'] %}
        cast(framed.{{ fact }}_{{ window }} as double) as {{ fact }}_{{ window }},
        {%- endfor %}
        cast(framed.final_expected_{{ window }} as double) as final_expected_{{ window }},
        {%- endfor %}
        cast(framed.lines_52 as bigint) as lines_52,
        cast(framed.came_young + framed.year_came as bigint) as observed_52,
        {%- for fact in ['expected', 'squares', 'variance'] %}
        cast(framed.{{ fact }}_young + framed.year_{{ fact }} as double) as {{ fact }}_52,
        {%- endfor %}
        cast(framed.final_expected_52 as double) as final_expected_52,
        cast(framed.past_came as double) as past_observed,
        cast(framed.past_expected as double) as past_expected,
        -- how it ended: of these weeks once complete, and of the eight weeks after them
        case
            when framed.week_no + {{ last }} <= spine.last_week
                then cast(framed.final_came_8 as double)
        end as final_observed_8,
        case
            when framed.week_no + 8 + {{ last }} <= spine.last_week
                then cast(framed.next_came as double)
        end as next_observed,
        case
            when framed.week_no + 8 + {{ last }} <= spine.last_week
                then cast(framed.next_expected as double)
        end as next_expected
    from framed
    inner join spine
        on framed.source = spine.source
    where
        framed.week_no <= spine.last_week
        and framed.week_no
        >= {{ policy_value('alert_replay_weeks') }} * (
            floor(spine.last_week / {{ policy_value('alert_replay_weeks') }}) - 1
        )

)

select * from final
