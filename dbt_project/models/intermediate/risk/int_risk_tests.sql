-- Would so many returns come back from an entity that is like all others? The upper tail of the
-- binomial distribution, widened by what the expectation itself is uncertain by and by how much
-- ordinary entities differ; q-values by Benjamini and Hochberg over all entities of a type and all
-- windows of a source. Who has too little to expect is not asked, and is no part of the family.

with posteriors as (

    select * from {{ ref('int_risk_posteriors') }} where is_sufficient

),

deviates as (

    select
        *,
        -- the widening is of the normal deviate of the exact tail
        sqrt(dispersion + null_spread * null_spread * expected / (1 - chance)) as widening,
        case
            when observed > 0
                then
                {{ beta_deviate(
                    'chance', 'observed', 'greatest(trials - observed + 1, 1)'
                ) }}
        end as tail_deviate
    from posteriors

),

scored as (

    select
        source,
        entity_type,
        entity_id,
        window_days,
        -tail_deviate / widening as z_score
    from deviates

),

-- with nothing returned there is nothing to be surprised at
tested as (

    select
        *,
        case when z_score is null then 1 else {{ normal_tail('z_score') }} end as p_value
    from scored

),

-- ties share the highest rank
ranked as (

    select
        *,
        count(*) over (partition by source, entity_type order by p_value) as p_rank,
        count(*) over (partition by source, entity_type) as family_size
    from tested

),

final as (

    select
        source,
        entity_type,
        entity_id,
        window_days,
        z_score,
        p_value,
        min(p_value * family_size / p_rank) over (
            partition by source, entity_type order by p_value desc
        ) as q_value,
        cast(family_size as bigint) as family_size
    from ranked

)

select * from final
