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
        ('category', 'category'), ('marketplace', 'marketplace'), ('all', "'all'"),
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

-- numbers are grouped several times faster than names
entities as (

    select
        *,
        row_number() over (order by source, entity_type, entity_id) as entity_no
    from (
        select distinct
            source,
            entity_type,
            entity_id
        from rated
    ) as named

),

-- counted in whole millionths: no sum depends on the order of rows, and doubles add up in half the
-- time that decimals take
weeks as (

    select
        entities.entity_no,
        rated.week_no,
        {%- for lag in range(last + 1) %}
        sum(cast(rated.came_{{ lag }} as double)) as came_{{ lag }},
        sum(round(1000000 * rated.lines * rated.rate_{{ lag }})) as expected_{{ lag }},
        sum(round(1000000 * rated.lines * rated.rate_{{ lag }} * rated.rate_{{ lag }}))
            as squares_{{ lag }},
        sum(
            round(
                1000000 * rated.lines * rated.weight * rated.rate_{{ lag }}
                * (1 - rated.rate_{{ lag }})
            )
        ) as variance_{{ lag }},
        {%- endfor %}
        sum(cast(rated.lines as double)) as lines
    from rated
    inner join entities
        on
            rated.source = entities.source
            and rated.entity_type = entities.entity_type
            and rated.entity_id = entities.entity_id
    group by entities.entity_no, rated.week_no

),

lags as (

    select {{ each_number(0, reach) }} as lag_weeks

),

{%- set facts = ['came', 'expected', 'squares', 'variance'] %}
{%- set ends = ['came', 'expected'] %}
{%- set year = 'range between 51 preceding and ' ~ reach ~ ' preceding' %}
{%- set past = 'range between 60 preceding and ' ~ reach ~ ' preceding' %}
{%- set next = 'range between 1 following and 26 following' %}
{%- set frames = [
    ('year', 'came', year), ('year', 'expected', year), ('year', 'squares', year),
    ('year', 'variance', year), ('past', 'came', past), ('past', 'expected', past),
    ('next', 'came', next), ('next', 'expected', next),
] %}

-- a week's sales as known some weeks later
known as (

    select
        weeks.entity_no,
        weeks.week_no + lags.lag_weeks as week_no,
        lags.lag_weeks,
        weeks.lines,
        {%- for fact in facts %}
        case lags.lag_weeks
            {%- for lag in range(reach) %}
            when {{ lag }} then weeks.{{ fact }}_{{ [lag, last] | min }}
            {%- endfor %}
        end as {{ fact }},
        {%- endfor %}
        {%- for fact in ends %}
        weeks.{{ fact }}_{{ last }} as final_{{ fact }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from weeks
    cross join lags

),

summed as (

    select
        entity_no,
        week_no,
        {%- for window in [4, 8, reach] %}
        {%- set name = 'young' if loop.last else window %}
        {%- for fact in ['lines'] + facts + ['final_expected'] %}
        sum(case when lag_weeks < {{ window }} then {{ fact }} else 0 end)
            as {{ fact }}_{{ name }},
        {%- endfor %}
        {%- endfor %}
        sum(case when lag_weeks < 8 then final_came else 0 end) as final_came_8
    from known
    group by entity_no, week_no

),

-- complete weeks, as those of their own week
placed as (

    select
        summed.*,
        coalesce(weeks.lines, 0) as sold,
        {%- for fact in facts %}
        coalesce(weeks.{{ fact }}_{{ last }}, 0) as complete_{{ fact }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from summed
    left join weeks
        on
            summed.entity_no = weeks.entity_no
            and summed.week_no = weeks.week_no

),

framed as (

    select
        *,
        {%- for name, column, frame in frames %}
        coalesce(
            sum(complete_{{ column }}) over (
                partition by entity_no order by week_no {{ frame }}
            ),
            0
        ) as {{ name }}_{{ column }},
        {%- endfor %}
        coalesce(
            sum(sold) over (partition by entity_no order by week_no {{ year }}), 0
        ) as year_sold
    from placed

),

spine as (

    select
        source,
        min(week_no) as first_week,
        max(week_no) as last_week
    from cells
    group by source

),

final as (

    select
        entities.source,
        entities.entity_type,
        entities.entity_id,
        cast(entities.entity_no as bigint) as entity_no,
        framed.week_no,
        spine.first_week,
        spine.last_week,
        {%- for window in [4, 8] %}
        cast(framed.lines_{{ window }} as bigint) as lines_{{ window }},
        cast(framed.came_{{ window }} as bigint) as observed_{{ window }},
        {%- for fact in ['expected', 'squares', 'variance', 'final_expected'] %}
        framed.{{ fact }}_{{ window }} / 1000000 as {{ fact }}_{{ window }},
        {%- endfor %}
        {%- endfor %}
        cast(framed.lines_young + framed.year_sold as bigint) as lines_52,
        cast(framed.came_young + framed.year_came as bigint) as observed_52,
        {%- for fact in ['expected', 'squares', 'variance'] %}
        (framed.{{ fact }}_young + framed.year_{{ fact }}) / 1000000 as {{ fact }}_52,
        {%- endfor %}
        (framed.final_expected_young + framed.year_expected) / 1000000 as final_expected_52,
        framed.past_came as past_observed,
        framed.past_expected / 1000000 as past_expected,
        -- how it ended: of these weeks once complete, and of the half year after them
        case
            when framed.week_no + {{ last }} <= spine.last_week
                then framed.final_came_8
        end as final_observed_8,
        case
            when framed.week_no + 26 + {{ last }} <= spine.last_week
                then framed.next_came
        end as next_observed,
        case
            when framed.week_no + 26 + {{ last }} <= spine.last_week
                then framed.next_expected / 1000000
        end as next_expected
    from framed
    inner join entities
        on framed.entity_no = entities.entity_no
    inner join spine
        on entities.source = spine.source
    where
        framed.week_no <= spine.last_week
        and framed.week_no
        >= {{ policy_value('alert_replay_weeks') }} * (
            floor(spine.last_week / {{ policy_value('alert_replay_weeks') }}) - 1
        )
        and (
            entities.entity_type <> 'product'
            or framed.lines_young + framed.year_sold
            >= {{ policy_value('alert_min_product_lines') }}
        )

)

select * from final
