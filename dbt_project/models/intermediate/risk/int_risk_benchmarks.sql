-- What each seller and product had to expect by what the others' lines of the same cells did:
-- indirect standardisation with the entity's own lines left out. A cell borrows
-- case_mix_prior_lines from the level above. One row per entity, window and category.
-- A stratum's number is of one source and one stratum of the level above.

{%- set entity = ['source', 'entity_type', 'entity_id', 'window_days'] %}
{%- set strata = {0: [], 1: ['stratum_1'], 2: ['stratum_2'], 3: ['stratum_3']} %}

with cells as (

    select * from {{ ref('int_risk_cells') }}

),

-- the lines of everybody and of the entity itself, on every level
level_3 as (

    select * from cells where entity_type = 'all'

),

own_3 as (

    select * from cells where entity_type <> 'all'

),

{%- for level in [2, 1, 0] %}
{%- set above = ['stratum_1', 'stratum_2'][:level] %}
{%- for name in ['level', 'own'] %}

{{ name }}_{{ level }} as (

    select
        {{ (entity + above) | join(', ') }},
        sum(returned_lines) as returned_lines,
        sum(exposure) as exposure
    from {{ name }}_{{ level + 1 }}
    group by {{ (entity + above) | join(', ') }}

),
{%- endfor %}
{%- endfor %}

-- from the top down: the others' rate of each stratum, held by that of the stratum it lies in
{%- for level in [0, 1, 2, 3] %}

rated_{{ level }} as (

    select
        own_{{ level }}.*,
        cast(level_{{ level }}.exposure - own_{{ level }}.exposure as double) as others_exposure,
    {%- if level == 0 %}
    cast(level_0.returned_lines - own_0.returned_lines as double)
    / nullif(cast(level_0.exposure - own_0.exposure as double), 0) as rate
    {%- else %}
    least(
        1,
        (
            cast(level_{{ level }}.returned_lines - own_{{ level }}.returned_lines as double)
            + {{ policy_value('case_mix_prior_lines') }} * rated_{{ level - 1 }}.rate
        )
        / (
            cast(level_{{ level }}.exposure - own_{{ level }}.exposure as double)
            + {{ policy_value('case_mix_prior_lines') }}
        )
    ) as rate
    {%- endif %}
    from own_{{ level }}
    inner join level_{{ level }}
        on
            own_{{ level }}.source = level_{{ level }}.source
            and own_{{ level }}.window_days = level_{{ level }}.window_days
            {%- for stratum in strata[level] %}
            and own_{{ level }}.{{ stratum }} = level_{{ level }}.{{ stratum }}
            {%- endfor %}
    {%- if level > 0 %}
    inner join rated_{{ level - 1 }}
        on
            own_{{ level }}.source = rated_{{ level - 1 }}.source
            and own_{{ level }}.entity_type = rated_{{ level - 1 }}.entity_type
            and own_{{ level }}.entity_id = rated_{{ level - 1 }}.entity_id
            and own_{{ level }}.window_days = rated_{{ level - 1 }}.window_days
            {%- for stratum in strata[level - 1] %}
            and own_{{ level }}.{{ stratum }} = rated_{{ level - 1 }}.{{ stratum }}
            {%- endfor %}
    {%- endif %}
    {%- if level == 1 %}
    -- who is alone in a category cannot be compared in it
    where level_1.exposure - own_1.exposure >= {{ policy_value('risk_min_benchmark_lines') }}
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
        sum(cast(rate * cast(exposure as double) as decimal(18, 9))) as expected,
        sum(cast(rate * compared_lines as decimal(18, 9))) as expected_final,
        sum(cast(rate * rate * cast(squares as double) as decimal(18, 9))) as expected_squares,
        -- the others' lines are a sample too
        sum(
            cast(
                rate * (1 - rate) * cast(exposure as double) * cast(exposure as double)
                / (others_exposure + {{ policy_value('case_mix_prior_lines') }}) as decimal(18, 9)
            )
        ) as benchmark_variance
    from rated_3
    group by source, entity_type, entity_id, window_days, category

)

select * from final
