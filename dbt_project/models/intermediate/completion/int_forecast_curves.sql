-- Week by week steps of the completion curve: what share of all returns comes in the week that
-- begins at each age, for every stratum with sales, from the finest curve there is. At ages below 0
-- the sale is made within the week.

{% set by_age -%}
over (partition by source, as_of_date, level, stratum_1, stratum_2 order by age_days)
{%- endset -%}

with curves as (

    select * from {{ ref('int_completion_curves') }}

),

sale_cells as (

    select * from {{ ref('int_sale_cells') }}

),

strata as (

    select distinct
        source,
        stratum_1,
        stratum_2
    from sale_cells

),

levels as (

    select
        source,
        as_of_date,
        level,
        stratum_1,
        stratum_2
    from curves
    where age_days = 0

),

resolved as (

    select
        strata.source,
        source_levels.as_of_date,
        strata.stratum_1,
        strata.stratum_2,
        case
            when stratum_2_levels.level = 2 then 2
            when stratum_1_levels.level = 1 then 1
            else 0
        end as level,
        coalesce(stratum_2_levels.stratum_1, stratum_1_levels.stratum_1, '*') as curve_stratum_1,
        coalesce(stratum_2_levels.stratum_2, '*') as curve_stratum_2
    from strata
    inner join levels as source_levels
        on
            strata.source = source_levels.source
            and source_levels.level = 0
    left join levels as stratum_1_levels
        on
            strata.source = stratum_1_levels.source
            and source_levels.as_of_date = stratum_1_levels.as_of_date
            and strata.stratum_1 = stratum_1_levels.stratum_1
            and stratum_1_levels.level = 1
    left join levels as stratum_2_levels
        on
            strata.source = stratum_2_levels.source
            and source_levels.as_of_date = stratum_2_levels.as_of_date
            and strata.stratum_1 = stratum_2_levels.stratum_1
            and strata.stratum_2 = stratum_2_levels.stratum_2
            and stratum_2_levels.level = 2

),

ages_before as (

    select {{ each_number(-7, 0) }} as age_days

),

-- before the sale nothing has come, and once everything has, nothing comes any more
completions as (

    select
        source,
        as_of_date,
        level,
        stratum_1,
        stratum_2,
        age_days,
        cast(completion as double) as completion
    from curves
    where completion < 1

    union all

    select
        levels.source,
        levels.as_of_date,
        levels.level,
        levels.stratum_1,
        levels.stratum_2,
        ages_before.age_days,
        cast(0 as double) as completion
    from levels
    cross join ages_before

),

sloped as (

    select
        *,
        (
            lead(completion, 1, 1) {{ by_age }} - lag(completion, 1, 0) {{ by_age }}
        ) / 2 as slope
    from completions

),

-- the first week is what is left of the calendar week, 1 to 7 days
stepped as (

    select
        source,
        as_of_date,
        level,
        stratum_1,
        stratum_2,
        age_days,
        lead(completion, 7, 1) {{ by_age }} - completion as week_share,
        lead(slope, 7, 0) {{ by_age }} - slope as week_slope_step,
        {%- for column, last_value, step in [
            ('completion', 1, 'first_week_share'), ('slope', 0, 'first_week_slope_step')
        ] %}
        case {{ weekday('as_of_date') }}
            {%- for weekday in range(1, 7) %}
            when {{ weekday }}
                then lead({{ column }}, {{ 7 - weekday }}, {{ last_value }}) {{ by_age }}
            {%- endfor %}
            else lead({{ column }}, 7, {{ last_value }}) {{ by_age }}
        end - {{ column }} as {{ step }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from sloped

),

final as (

    select
        resolved.source,
        resolved.as_of_date,
        resolved.stratum_1,
        resolved.stratum_2,
        stepped.age_days,
        stepped.first_week_share,
        stepped.first_week_slope_step,
        stepped.week_share,
        stepped.week_slope_step
    from resolved
    inner join stepped
        on
            resolved.source = stepped.source
            and resolved.as_of_date = stepped.as_of_date
            and resolved.level = stepped.level
            and resolved.curve_stratum_1 = stepped.stratum_1
            and resolved.curve_stratum_2 = stepped.stratum_2
            and stepped.week_share > 0

)

select * from final
