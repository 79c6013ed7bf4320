-- What each seller and product had to expect by what the others' lines of the same cells did:
-- indirect standardisation with the entity's own lines left out. A cell borrows
-- case_mix_prior_lines from the level above. One row per entity, window and category.

with cells as (

    select * from {{ ref('int_risk_cells') }}

),

wholes as (

    select * from cells where entity_type = 'all'

),

{%- set keys = ['source', 'window_days', 'stratum_1', 'stratum_2', 'stratum_3'] %}
{%- for level in [0, 1, 2, 3] %}

level_{{ level }} as (

    select
        {{ keys[:level + 2] | join(', ') }},
        sum(returned_lines) as returned_lines,
        sum(exposure) as exposure
    from wholes
    group by {{ keys[:level + 2] | join(', ') }}

),
{%- endfor %}

-- the lines of the entity itself, on every level
own as (

    select * from cells where entity_type <> 'all'

),

own_0 as (

    select
        entity_type,
        entity_id,
        source,
        window_days,
        sum(returned_lines) as returned_lines,
        sum(exposure) as exposure
    from own
    group by entity_type, entity_id, source, window_days

),

own_1 as (

    select
        entity_type,
        entity_id,
        source,
        window_days,
        stratum_1,
        sum(returned_lines) as returned_lines,
        sum(exposure) as exposure
    from own
    group by entity_type, entity_id, source, window_days, stratum_1

),

own_2 as (

    select
        entity_type,
        entity_id,
        source,
        window_days,
        stratum_1,
        stratum_2,
        sum(returned_lines) as returned_lines,
        sum(exposure) as exposure
    from own
    group by entity_type, entity_id, source, window_days, stratum_1, stratum_2

),

others as (

    select
        own.source,
        own.entity_type,
        own.entity_id,
        own.window_days,
        own.category,
        own.compared_lines,
        own.returned_lines,
        cast(own.exposure as double) as exposure,
        cast(own.squares as double) as squares,
        cast(level_0.returned_lines - own_0.returned_lines as double) as returned_0,
        cast(level_0.exposure - own_0.exposure as double) as exposure_0,
        cast(level_1.returned_lines - own_1.returned_lines as double) as returned_1,
        cast(level_1.exposure - own_1.exposure as double) as exposure_1,
        cast(level_2.returned_lines - own_2.returned_lines as double) as returned_2,
        cast(level_2.exposure - own_2.exposure as double) as exposure_2,
        cast(level_3.returned_lines - own.returned_lines as double) as returned_3,
        cast(level_3.exposure - own.exposure as double) as exposure_3
    from own
    inner join own_0
        on
            own.entity_type = own_0.entity_type
            and own.entity_id = own_0.entity_id
            and own.source = own_0.source
            and own.window_days = own_0.window_days
    inner join own_1
        on
            own.entity_type = own_1.entity_type
            and own.entity_id = own_1.entity_id
            and own.source = own_1.source
            and own.window_days = own_1.window_days
            and own.stratum_1 = own_1.stratum_1
    inner join own_2
        on
            own.entity_type = own_2.entity_type
            and own.entity_id = own_2.entity_id
            and own.source = own_2.source
            and own.window_days = own_2.window_days
            and own.stratum_1 = own_2.stratum_1
            and own.stratum_2 = own_2.stratum_2
    inner join level_0
        on
            own.source = level_0.source
            and own.window_days = level_0.window_days
    inner join level_1
        on
            own.source = level_1.source
            and own.window_days = level_1.window_days
            and own.stratum_1 = level_1.stratum_1
    inner join level_2
        on
            own.source = level_2.source
            and own.window_days = level_2.window_days
            and own.stratum_1 = level_2.stratum_1
            and own.stratum_2 = level_2.stratum_2
    inner join level_3
        on
            own.source = level_3.source
            and own.window_days = level_3.window_days
            and own.stratum_1 = level_3.stratum_1
            and own.stratum_2 = level_3.stratum_2
            and own.stratum_3 = level_3.stratum_3

),

{%- for level in [0, 1, 2, 3] %}

rated_{{ level }} as (

    select
        *,
        least(
            1,
            {%- if level == 0 %}
            returned_0 / nullif(exposure_0, 0)
            {%- else %}
            (
                returned_{{ level }}
                + {{ policy_value('case_mix_prior_lines') }} * rate_{{ level - 1 }}
            )
            / (exposure_{{ level }} + {{ policy_value('case_mix_prior_lines') }})
            {%- endif %}
        ) as rate_{{ level }}
    from {{ 'others' if level == 0 else 'rated_' ~ (level - 1) }}
    {%- if level == 1 %}
    -- who is alone in a category cannot be compared in it
    where exposure_1 >= {{ policy_value('risk_min_benchmark_lines') }}
    {%- endif %}

),
{%- endfor %}

-- rounded before they are added up, so that no sum depends on the order of rows
final as (

    select
        source,
        entity_type,
        entity_id,
        window_days,
        category,
        cast(sum(compared_lines) as bigint) as compared_lines,
        cast(sum(returned_lines) as bigint) as observed,
        sum(cast(exposure as decimal(18, 6))) as exposure,
        sum(cast(rate_3 * exposure as decimal(18, 9))) as expected,
        sum(cast(rate_3 * compared_lines as decimal(18, 9))) as expected_final,
        sum(cast(rate_3 * rate_3 * squares as decimal(18, 9))) as expected_squares,
        -- the others' lines are a sample too
        sum(
            cast(
                rate_3 * (1 - rate_3) * exposure * exposure
                / (exposure_3 + {{ policy_value('case_mix_prior_lines') }}) as decimal(18, 9)
            )
        ) as benchmark_variance
    from rated_3
    group by source, entity_type, entity_id, window_days, category

)

select * from final
