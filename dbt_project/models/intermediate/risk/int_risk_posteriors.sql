-- What is believed of each ratio of observed to expected returns: the beta distribution of the
-- share that comes back, by the peers' distribution and the entity's own lines, with its interval.
-- No engine has its quantiles: they are found by four steps of the secant method on the log-odds,
-- and put right by one of Newton's where the distribution is skewed.

with entities as (

    select * from {{ ref('int_risk_entities') }}

),

spreads as (

    select * from {{ ref('int_risk_spreads') }}

),

confidence_levels as (

    select levels.z
    from {{ ref('policy_confidence_levels') }} as levels
    inner join {{ ref('policy_parameters') }} as parameters
        on levels.confidence_percent = parameters.value
    where parameters.policy_name = 'risk_interval_confidence_percent'

),

-- the finest group of peers that is large enough
peers as (

    select
        entities.*,
        sources.null_spread,
        coalesce(
            case when categories.is_large_enough then categories.peer_group end,
            case when sizes.is_large_enough then sizes.peer_group end,
            'all'
        ) as peer_group,
        coalesce(
            case when categories.is_large_enough then categories.peer_ratio end,
            case when sizes.is_large_enough then sizes.peer_ratio end,
            sources.peer_ratio,
            1
        ) as peer_ratio,
        coalesce(
            case when categories.is_large_enough then categories.peer_spread end,
            case when sizes.is_large_enough then sizes.peer_spread end,
            sources.peer_spread,
            cast({{ policy_value('risk_default_spread_percent') }} as double) / 100
        ) as peer_spread
    from entities
    left join spreads as categories
        on
            entities.source = categories.source
            and entities.entity_type = categories.entity_type
            and entities.window_days = categories.window_days
            and categories.peer_level = 3
            and concat(entities.main_category, ', ', entities.size_class) = categories.peer_group
    left join spreads as sizes
        on
            entities.source = sizes.source
            and entities.entity_type = sizes.entity_type
            and entities.window_days = sizes.window_days
            and sizes.peer_level = 2
            and entities.size_class = sizes.peer_group
    left join spreads as sources
        on
            entities.source = sources.source
            and entities.entity_type = sources.entity_type
            and entities.window_days = sources.window_days
            and sources.peer_level = 1

),

priors as (

    select
        *,
        least(peer_ratio * chance, 0.95) as prior_share
    from peers

),

-- so many lines the peers count as
weighed as (

    select
        *,
        greatest(
            prior_share * (1 - prior_share) / (chance * chance * peer_spread * peer_spread) - 1,
            {{ policy_value('risk_min_prior_returns') }} / prior_share,
            {{ policy_value('risk_min_prior_returns') }} / (1 - prior_share)
        ) as prior_lines
    from priors

),

posteriors as (

    select
        *,
        prior_lines * prior_share + observed / dispersion as returned_weight,
        prior_lines * (1 - prior_share) + greatest(trials - observed, 0) / dispersion
            as kept_weight
    from weighed

),

sides as (

    select
        'lo' as side,
        -1 as sign
    union all
    select
        'hi' as side,
        1 as sign

),

ends as (

    select
        posteriors.source,
        posteriors.entity_type,
        posteriors.entity_id,
        posteriors.window_days,
        posteriors.returned_weight,
        posteriors.kept_weight,
        sides.side,
        sides.sign * confidence_levels.z as z,
        ln(posteriors.returned_weight / posteriors.kept_weight) as odds_0,
        ln(posteriors.returned_weight / posteriors.kept_weight)
        + sides.sign * confidence_levels.z
        * sqrt(1 / posteriors.returned_weight + 1 / posteriors.kept_weight) as odds_1
    from posteriors
    cross join sides
    cross join confidence_levels

),

started as (

    select
        *,
        {{ beta_deviate('(1 / (1 + exp(-odds_0)))', 'returned_weight', 'kept_weight') }} as z_0,
        {{ beta_deviate('(1 / (1 + exp(-odds_1)))', 'returned_weight', 'kept_weight') }} as z_1
    from ends

),

{%- for step in [2, 3, 4] %}

moved_{{ step }} as (

    select
        *,
        odds_{{ step - 1 }} + coalesce(
            (z - z_{{ step - 1 }}) * (odds_{{ step - 1 }} - odds_{{ step - 2 }})
            / nullif(z_{{ step - 1 }} - z_{{ step - 2 }}, 0),
            0
        ) as odds_{{ step }}
    from {{ 'started' if step == 2 else 'step_' ~ (step - 1) }}

),

step_{{ step }} as (

    select
        *,
        {{ beta_deviate(
            '(1 / (1 + exp(-odds_' ~ step ~ ')))', 'returned_weight', 'kept_weight'
        ) }} as z_{{ step }}
    from moved_{{ step }}

),
{%- endfor %}

quantiles as (

    select
        *,
        1 / (1 + exp(-odds_4)) as share,
        exp(
            {{ log_gamma('(returned_weight + kept_weight)') }} - {{ log_gamma('returned_weight') }}
            - {{ log_gamma('kept_weight') }}
            - returned_weight * ln(1 + exp(-odds_4)) - kept_weight * ln(1 + exp(odds_4))
        ) as first_term
    from step_4

),

-- the distribution function by six steps upwards to a parameter where the formula is good
corrected as (

    select
        *,
        case
            when returned_weight >= 20 then share
            else
                share - share * (1 - share) / first_term * (
                    first_term / returned_weight * (
                        {%- for term in range(6) %}
                        {{ '+ ' if term }}1
                        {%- for factor in range(1, term + 1) %}
                        * share * (returned_weight + kept_weight + {{ factor - 1 }})
                        / (returned_weight + {{ factor }})
                        {%- endfor %}
                        {%- endfor %}
                    )
                    + 1
                    - {{ normal_tail(
                        '(' ~ beta_deviate('share', '(returned_weight + 6)', 'kept_weight') ~ ')'
                    ) }}
                    - (1 - {{ normal_tail('z') }})
                )
        end as end_share
    from quantiles

),

intervals as (

    select
        source,
        entity_type,
        entity_id,
        window_days,
        max(case when side = 'lo' then end_share end) as lo_share,
        max(case when side = 'hi' then end_share end) as hi_share
    from corrected
    group by source, entity_type, entity_id, window_days

),

final as (

    select
        posteriors.source,
        posteriors.entity_type,
        posteriors.entity_id,
        posteriors.window_days,
        posteriors.main_category,
        posteriors.size_class,
        posteriors.peer_group,
        posteriors.peer_ratio,
        posteriors.peer_spread,
        posteriors.null_spread,
        posteriors.compared_lines,
        posteriors.observed,
        posteriors.exposure,
        posteriors.expected,
        posteriors.expected_final,
        posteriors.dispersion,
        posteriors.chance,
        posteriors.trials,
        posteriors.ratio,
        posteriors.ratio_variance,
        posteriors.is_sufficient,
        posteriors.returned_weight,
        posteriors.kept_weight,
        posteriors.returned_weight
        / (posteriors.returned_weight + posteriors.kept_weight) / posteriors.chance
            as shrunk_ratio,
        intervals.lo_share / posteriors.chance as lo,
        intervals.hi_share / posteriors.chance as hi,
        -- the same if one more line had come back
        (posteriors.returned_weight + 1 / posteriors.dispersion)
        / (posteriors.returned_weight + posteriors.kept_weight) / posteriors.chance
            as shrunk_ratio_with_one_more
    from posteriors
    inner join intervals
        on
            posteriors.source = intervals.source
            and posteriors.entity_type = intervals.entity_type
            and posteriors.entity_id = intervals.entity_id
            and posteriors.window_days = intervals.window_days

)

select * from final
