-- How much the true ratios of peers differ, beyond chance: for the prior of each peer group by
-- Paule and Mandel's equation, and for the null hypothesis of all entities of a type together with
-- squares cut off at the tenth and ninetieth percentile, so that a few faulty ones do not make
-- everybody look unlike. Both are read off a grid: the smallest spread that explains what is seen.

with entities as (

    select * from {{ ref('int_risk_entities') }}
    where expected >= {{ policy_value('risk_min_expected_fit') }}

),

confidence_levels as (

    select * from {{ ref('policy_confidence_levels') }} where confidence_percent = 80

),

steps as (

    select {{ each_number(0, 41) }} as step_number

),

spreads as (

    select cast(step_number as double) / 40 as spread
    from steps

),

grouped as (

    select
        entities.*,
        1 as peer_level,
        'all' as peer_group
    from entities

    union all

    select
        entities.*,
        2 as peer_level,
        entities.size_class as peer_group
    from entities
    where entities.entity_type in ('seller', 'product')

    union all

    select
        entities.*,
        3 as peer_level,
        concat(entities.main_category, ', ', entities.size_class) as peer_group
    from entities
    where entities.entity_type in ('seller', 'product')

),

-- the square of a standard normal, cut off there, is this on average
constants as (

    select
        z * z as square_max,
        0.8 + 0.2 * z * z - 2 * z * exp(-z * z / 2) / 2.5066282746310002 as square_mean
    from confidence_levels

),

weighed as (

    select
        grouped.source,
        grouped.entity_type,
        grouped.window_days,
        grouped.peer_level,
        grouped.peer_group,
        case when grouped.peer_level > 1 then grouped.size_class end as size_class,
        spreads.spread,
        constants.square_mean,
        grouped.is_sufficient,
        grouped.ratio,
        1 / (grouped.ratio_variance + spreads.spread * spreads.spread) as weight,
        least(
            (grouped.ratio - 1) * (grouped.ratio - 1)
            / (grouped.ratio_variance + spreads.spread * spreads.spread),
            constants.square_max
        ) as cut_square
    from grouped
    cross join spreads
    cross join constants

),

-- rounded before they are added up, so that no sum depends on the order of rows
summed as (

    select
        source,
        entity_type,
        window_days,
        peer_level,
        peer_group,
        size_class,
        spread,
        count(*) as members,
        sum(case when is_sufficient then 1 else 0 end) as sufficient_members,
        cast(sum(cast(weight as decimal(28, 9))) as double) as weight,
        cast(sum(cast(weight * ratio as decimal(28, 9))) as double) as weighted_ratio,
        cast(sum(cast(weight * ratio * ratio as decimal(28, 9))) as double) as weighted_square,
        cast(sum(case when is_sufficient then cast(cut_square as decimal(18, 9)) end) as double)
            as cut_square,
        max(square_mean) as square_mean
    from weighed
    group by source, entity_type, window_days, peer_level, peer_group, size_class, spread

),

fitted as (

    select
        *,
        weighted_ratio / weight as peer_ratio,
        weighted_square - weighted_ratio * weighted_ratio / weight <= members - 1
        or spread = 1 as is_wide_enough,
        coalesce(cut_square <= sufficient_members * square_mean, true)
        or spread = 1 as is_null_wide_enough
    from summed

),

first_fits as (

    select
        source,
        entity_type,
        window_days,
        peer_level,
        peer_group,
        min(case when is_wide_enough then spread end) as peer_spread,
        min(case when is_null_wide_enough then spread end) as null_spread
    from fitted
    group by source, entity_type, window_days, peer_level, peer_group

),

-- too few members say nothing about how much they differ
measured as (

    select
        fitted.source,
        fitted.entity_type,
        fitted.window_days,
        fitted.peer_level,
        fitted.peer_group,
        fitted.size_class,
        fitted.members,
        case
            when fitted.members >= {{ policy_value('risk_min_peers') }} then fitted.peer_ratio
            else 1
        end as peer_ratio,
        case
            when fitted.members >= {{ policy_value('risk_min_peers') }} then first_fits.peer_spread
            when fitted.entity_type in ('seller', 'product')
                then cast({{ policy_value('risk_default_spread_percent') }} as double) / 100
            else cast({{ policy_value('risk_default_change_percent') }} as double) / 100
        end as peer_spread,
        case
            when fitted.sufficient_members >= {{ policy_value('risk_min_peers') }}
                then first_fits.null_spread
            when fitted.entity_type in ('seller', 'product')
                then cast({{ policy_value('risk_default_spread_percent') }} as double) / 100
            else cast({{ policy_value('risk_default_change_percent') }} as double) / 100
        end as null_spread
    from fitted
    inner join first_fits
        on
            fitted.source = first_fits.source
            and fitted.entity_type = first_fits.entity_type
            and fitted.window_days = first_fits.window_days
            and fitted.peer_level = first_fits.peer_level
            and fitted.peer_group = first_fits.peer_group
            and fitted.spread = first_fits.peer_spread

),

-- the spread of few is itself a guess, and often none: a group is held by the one above it
pooled_1 as (

    select
        *,
        peer_ratio as pooled_ratio,
        peer_spread * peer_spread as pooled_variance
    from measured
    where peer_level = 1

),

{%- for level in [2, 3] %}

pooled_{{ level }} as (

    select
        measured.*,
        (
            measured.members * measured.peer_ratio
            + {{ policy_value('risk_pooling_members') }} * above.pooled_ratio
        )
        / (measured.members + {{ policy_value('risk_pooling_members') }}) as pooled_ratio,
        (
            measured.members * measured.peer_spread * measured.peer_spread
            + {{ policy_value('risk_pooling_members') }} * above.pooled_variance
        )
        / (measured.members + {{ policy_value('risk_pooling_members') }}) as pooled_variance
    from measured
    inner join pooled_{{ level - 1 }} as above
        on
            measured.source = above.source
            and measured.entity_type = above.entity_type
            and measured.window_days = above.window_days
            {%- if level == 3 %}
            and measured.size_class = above.size_class
            {%- endif %}
    where measured.peer_level = {{ level }}

),
{%- endfor %}

pooled as (

    select * from pooled_1
    union all
    select * from pooled_2
    union all
    select * from pooled_3

),

final as (

    select
        source,
        entity_type,
        window_days,
        cast(peer_level as bigint) as peer_level,
        peer_group,
        cast(members as bigint) as members,
        members >= {{ policy_value('risk_min_peers') }} as is_large_enough,
        pooled_ratio as peer_ratio,
        greatest(
            sqrt(pooled_variance),
            cast({{ policy_value('risk_min_spread_percent') }} as double) / 100
        ) as peer_spread,
        null_spread
    from pooled

)

select * from final
