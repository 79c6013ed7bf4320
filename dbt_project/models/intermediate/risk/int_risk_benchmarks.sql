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
own_3 as (

    select * from cells where entity_type <> 'all'

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
    from own_3
    group by entity_type, entity_id, source, window_days, stratum_1, stratum_2

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
    from own_2
    group by entity_type, entity_id, source, window_days, stratum_1

),

own_0 as (

    select
        entity_type,
        entity_id,
        source,
        window_days,
        sum(returned_lines) as returned_lines,
        sum(exposure) as exposure
    from own_1
    group by entity_type, entity_id, source, window_days

),

-- from the top down: the others' rate of each stratum, held by that of the stratum it lies in
rated_0 as (

    select
        own_0.entity_type,
        own_0.entity_id,
        own_0.source,
        own_0.window_days,
        cast(level_0.returned_lines - own_0.returned_lines as double)
        / nullif(cast(level_0.exposure - own_0.exposure as double), 0) as rate
    from own_0
    inner join level_0
        on
            own_0.source = level_0.source
            and own_0.window_days = level_0.window_days

),

rated_1 as (

    select
        own_1.entity_type,
        own_1.entity_id,
        own_1.source,
        own_1.window_days,
        own_1.stratum_1,
        least(
            1,
            (
                cast(level_1.returned_lines - own_1.returned_lines as double)
                + {{ policy_value('case_mix_prior_lines') }} * rated_0.rate
            )
            / (
                cast(level_1.exposure - own_1.exposure as double)
                + {{ policy_value('case_mix_prior_lines') }}
            )
        ) as rate
    from own_1
    inner join level_1
        on
            own_1.source = level_1.source
            and own_1.window_days = level_1.window_days
            and own_1.stratum_1 = level_1.stratum_1
    inner join rated_0
        on
            own_1.entity_type = rated_0.entity_type
            and own_1.entity_id = rated_0.entity_id
            and own_1.source = rated_0.source
            and own_1.window_days = rated_0.window_days
    -- who is alone in a category cannot be compared in it
    where level_1.exposure - own_1.exposure >= {{ policy_value('risk_min_benchmark_lines') }}

),

rated_2 as (

    select
        own_2.entity_type,
        own_2.entity_id,
        own_2.source,
        own_2.window_days,
        own_2.stratum_1,
        own_2.stratum_2,
        least(
            1,
            (
                cast(level_2.returned_lines - own_2.returned_lines as double)
                + {{ policy_value('case_mix_prior_lines') }} * rated_1.rate
            )
            / (
                cast(level_2.exposure - own_2.exposure as double)
                + {{ policy_value('case_mix_prior_lines') }}
            )
        ) as rate
    from own_2
    inner join level_2
        on
            own_2.source = level_2.source
            and own_2.window_days = level_2.window_days
            and own_2.stratum_1 = level_2.stratum_1
            and own_2.stratum_2 = level_2.stratum_2
    inner join rated_1
        on
            own_2.entity_type = rated_1.entity_type
            and own_2.entity_id = rated_1.entity_id
            and own_2.source = rated_1.source
            and own_2.window_days = rated_1.window_days
            and own_2.stratum_1 = rated_1.stratum_1

),

rated_3 as (

    select
        own_3.entity_type,
        own_3.entity_id,
        own_3.source,
        own_3.window_days,
        own_3.stratum_1,
        own_3.stratum_2,
        own_3.stratum_3,
        own_3.category,
        own_3.compared_lines,
        own_3.returned_lines,
        cast(own_3.exposure as double) as exposure,
        cast(own_3.squares as double) as squares,
        cast(level_3.exposure - own_3.exposure as double) as others_exposure,
        least(
            1,
            (
                cast(level_3.returned_lines - own_3.returned_lines as double)
                + {{ policy_value('case_mix_prior_lines') }} * rated_2.rate
            )
            / (
                cast(level_3.exposure - own_3.exposure as double)
                + {{ policy_value('case_mix_prior_lines') }}
            )
        ) as rate
    from own_3
    inner join level_3
        on
            own_3.source = level_3.source
            and own_3.window_days = level_3.window_days
            and own_3.stratum_1 = level_3.stratum_1
            and own_3.stratum_2 = level_3.stratum_2
            and own_3.stratum_3 = level_3.stratum_3
    inner join rated_2
        on
            own_3.entity_type = rated_2.entity_type
            and own_3.entity_id = rated_2.entity_id
            and own_3.source = rated_2.source
            and own_3.window_days = rated_2.window_days
            and own_3.stratum_1 = rated_2.stratum_1
            and own_3.stratum_2 = rated_2.stratum_2

),

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
        sum(cast(rate * exposure as decimal(18, 9))) as expected,
        sum(cast(rate * compared_lines as decimal(18, 9))) as expected_final,
        sum(cast(rate * rate * squares as decimal(18, 9))) as expected_squares,
        -- the others' lines are a sample too
        sum(
            cast(
                rate * (1 - rate) * exposure * exposure
                / (others_exposure + {{ policy_value('case_mix_prior_lines') }}) as decimal(18, 9)
            )
        ) as benchmark_variance
    from rated_3
    group by source, entity_type, entity_id, window_days, category

)

select * from final
