-- What each seller is measured by, beside its peers: all other sellers, and for shares of lines
-- those of the same categories. The own value is held by the peers' as if it had
-- risk_factor_prior_lines lines of theirs; intervals are Wilson's.

with facts as (

    select * from {{ ref('int_seller_facts') }}

),

ratings as (

    select * from {{ ref('int_seller_ratings') }}

),

assessed as (

    select * from {{ ref('int_risk_assessed') }}
    where
        entity_type = 'seller'
        and window_days = {{ policy_value('risk_factor_window_days') }}
        and shrunk_ratio is not null

),

-- a review may name a seller of whom nothing was sold
selling_sellers as (

    select
        source,
        entity_id as seller_id
    from {{ ref('int_risk_assessed') }}
    where
        entity_type = 'seller'
        and window_days = {{ policy_value('risk_factor_window_days') }}

),

confidence_levels as (

    select levels.z
    from {{ ref('policy_confidence_levels') }} as levels
    inner join {{ ref('policy_parameters') }} as parameters
        on levels.confidence_percent = parameters.value
    where parameters.policy_name = 'risk_interval_confidence_percent'

),

counts as (

    {%- for factor, events, lines in [
        ('late_delivery', 'late_lines', 'delivery_lines'),
        ('cancellations', 'lost_lines', 'ordered_lines'),
        ('cod_share', 'cod_lines', 'payment_lines'),
        ('discount', 'discount_lines', 'priced_lines'),
    ] %}

    select
        source,
        seller_id,
        category,
        '{{ factor }}' as factor,
        cast({{ events }} as decimal(18, 9)) as events,
        {{ lines }} as lines
    from facts
    where {{ lines }} > 0

    union all
    {%- endfor %}

    -- what the model expects to come back: no whole number
    select
        source,
        seller_id,
        category,
        'predicted_risk' as factor,
        sum(cast(return_probability as decimal(18, 9))) as events,
        count(*) as lines
    from {{ ref('int_scored_lines') }}
    where seller_id is not null
    group by source, seller_id, category

),

with_peers as (

    select
        *,
        sum(events) over (partition by source, factor, category) - events as peer_events,
        sum(lines) over (partition by source, factor, category) - lines as peer_lines
    from counts

),

-- rounded before they are added up, so that no sum depends on the order of rows
shares as (

    select
        source,
        seller_id,
        factor,
        cast(sum(events) as double) as events,
        sum(lines) as lines,
        cast(
            sum(
                cast(
                    cast(lines as double) * cast(peer_events as double) / peer_lines
                    as decimal(18, 6)
                )
            ) as double
        )
        / sum(lines) as peer_value
    from with_peers
    where peer_lines > 0
    group by source, seller_id, factor

),

held as (

    select
        shares.source,
        shares.seller_id,
        shares.factor,
        shares.events,
        shares.lines,
        shares.peer_value,
        shares.lines + {{ policy_value('risk_factor_prior_lines') }} as weight,
        (shares.events + {{ policy_value('risk_factor_prior_lines') }} * shares.peer_value)
        / (shares.lines + {{ policy_value('risk_factor_prior_lines') }}) as share,
        confidence_levels.z
    from shares
    cross join confidence_levels

),

rated as (

    select
        ratings.source,
        ratings.seller_id,
        ratings.ratings,
        cast(ratings.rating_sum as double) as rating_sum,
        cast(ratings.rating_squares as double) as rating_squares,
        cast(
            sum(ratings.rating_sum) over (partition by ratings.source) - ratings.rating_sum
            as double
        ) as peer_sum,
        cast(
            sum(ratings.rating_squares) over (partition by ratings.source)
            - ratings.rating_squares as double
        ) as peer_squares,
        sum(ratings.ratings) over (partition by ratings.source) - ratings.ratings as peer_ratings,
        confidence_levels.z
    from ratings
    cross join confidence_levels

),

rated_peers as (

    select
        *,
        peer_sum / peer_ratings as peer_value,
        sqrt(greatest(
            peer_squares / peer_ratings - peer_sum / peer_ratings * peer_sum / peer_ratings, 0
        )) as peer_deviation,
        ratings + {{ policy_value('risk_factor_prior_lines') }} as weight
    from rated
    where peer_ratings > 0

),

measured as (

    select
        source,
        entity_id as seller_id,
        'return_rate' as factor,
        observed as events,
        compared_lines as lines,
        least(1, shrunk_ratio * expected_final / compared_lines) as factor_value,
        expected_final / compared_lines as peer_value,
        least(1, lo * expected_final / compared_lines) as lo,
        least(1, hi * expected_final / compared_lines) as hi,
        least(1, shrunk_ratio_with_one_more * expected_final / compared_lines)
            as value_with_one_more,
        is_sufficient
    from assessed

    union all

    select
        source,
        entity_id as seller_id,
        'category_mix' as factor,
        observed as events,
        compared_lines as lines,
        expected_final / compared_lines as factor_value,
        overall_rate as peer_value,
        expected_final / compared_lines as lo,
        expected_final / compared_lines as hi,
        cast(null as double) as value_with_one_more,
        is_sufficient
    from assessed

    union all

    select
        source,
        seller_id,
        factor,
        events,
        lines,
        share as factor_value,
        peer_value,
        greatest(
            0,
            (
                share + z * z / (2 * weight)
                - z * sqrt(share * (1 - share) / weight + z * z / (4 * weight * weight))
            )
            / (1 + z * z / weight)
        ) as lo,
        least(
            1,
            (
                share + z * z / (2 * weight)
                + z * sqrt(share * (1 - share) / weight + z * z / (4 * weight * weight))
            )
            / (1 + z * z / weight)
        ) as hi,
        case
            when factor <> 'predicted_risk'
                then
                (events + 1 + {{ policy_value('risk_factor_prior_lines') }} * peer_value) / weight
        end as value_with_one_more,
        true as is_sufficient
    from held

    union all

    select
        source,
        seller_id,
        'rating' as factor,
        cast(null as bigint) as events,
        ratings as lines,
        (rating_sum + {{ policy_value('risk_factor_prior_lines') }} * peer_value) / weight
            as factor_value,
        peer_value,
        (rating_sum + {{ policy_value('risk_factor_prior_lines') }} * peer_value) / weight
        - z * peer_deviation / sqrt(weight) as lo,
        (rating_sum + {{ policy_value('risk_factor_prior_lines') }} * peer_value) / weight
        + z * peer_deviation / sqrt(weight) as hi,
        (rating_sum + 1 + {{ policy_value('risk_factor_prior_lines') }} * peer_value)
        / (weight + 1) as value_with_one_more,
        true as is_sufficient
    from rated_peers

),

final as (

    select
        measured.source,
        measured.seller_id,
        measured.factor,
        measured.events,
        measured.lines,
        measured.factor_value,
        measured.peer_value,
        measured.lo,
        measured.hi,
        measured.value_with_one_more,
        measured.is_sufficient
    from measured
    inner join selling_sellers
        on
            measured.source = selling_sellers.source
            and measured.seller_id = selling_sellers.seller_id

)

select * from final
