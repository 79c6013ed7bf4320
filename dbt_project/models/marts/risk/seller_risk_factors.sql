with measured as (

    select * from {{ ref('int_seller_factors') }}

),

factors as (

    select * from {{ ref('policy_risk_factors') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

-- the threshold lies beyond the peers' value on the worse side
compared as (

    select
        measured.*,
        factors.label,
        factors.worse,
        factors.weight,
        case factors.worse
            when 'higher'
                then
                greatest(
                    measured.peer_value * factors.threshold_percent / 100,
                    measured.peer_value + factors.threshold_difference
                )
            else
                least(
                    measured.peer_value * factors.threshold_percent / 100,
                    measured.peer_value - factors.threshold_difference
                )
        end as threshold,
        case factors.worse when 'higher' then measured.lo else measured.hi end as careful_end
    from measured
    inner join factors
        on measured.factor = factors.factor

),

-- a seller is given the benefit of the doubt: points are for the careful end of the interval
scored as (

    select
        *,
        case
            when not is_sufficient then 0
            else
                round(
                    weight * greatest(
                        0, least(1, (careful_end - peer_value) / (threshold - peer_value))
                    ),
                    2
                )
        end as points
    from compared

),

-- whole and exact: the parts add up
summed as (

    select
        *,
        sum(cast(points as decimal(9, 2))) over (partition by source, seller_id) as point_sum,
        sum(weight) over (partition by source, seller_id) as weight_sum
    from scored

),

final as (

    select
        summed.source,
        summed.seller_id,
        summed.factor,
        case
            when summed.factor = 'predicted_risk' then {{ policy_value('risk_score_days') }}
            else {{ policy_value('risk_factor_window_days') }}
        end as window_days,
        cast(round(summed.events, 0) as bigint) as events,
        cast(summed.lines as bigint) as lines,
        round(summed.factor_value, 9) as factor_value,
        round(summed.peer_value, 9) as peer_value,
        round(summed.lo, 9) as lo,
        round(summed.hi, 9) as hi,
        round(summed.threshold, 9) as threshold,
        summed.worse,
        summed.weight,
        cast(summed.points as decimal(9, 2)) as points,
        cast(
            round(100 * cast(summed.point_sum as double) / nullif(summed.weight_sum, 0), 2)
            as decimal(9, 2)
        ) as risk_score,
        round(summed.value_with_one_more, 9) as value_with_one_more,
        concat(
            summed.label, ': ', {{ factor_text('factor_value') }},
            case summed.factor
                when 'return_rate'
                    then
                    concat(
                        ' of ', {{ whole_number_text('lines') }},
                        ' lines will have come back in the end, held towards others (so far ',
                        {{ whole_number_text('events') }}, '); with the same goods and customers ',
                        {{ factor_text('peer_value') }}, ' do for others'
                    )
                when 'category_mix'
                    then
                    concat(
                        ' is what the goods and customers alone lead one to expect; ',
                        {{ factor_text('peer_value') }}, ' is the average of all'
                    )
                when 'rating'
                    then
                    concat(
                        ' in ', {{ whole_number_text('lines') }}, ' ratings; others have ',
                        {{ factor_text('peer_value') }}
                    )
                when 'predicted_risk'
                    then
                    concat(
                        ' of the ', {{ whole_number_text('lines') }}, ' lines of the last ',
                        cast({{ policy_value('risk_score_days') }} as string),
                        ' days were expected back when they were ordered; others have ',
                        {{ factor_text('peer_value') }}, ' in the same categories'
                    )
                else
                    concat(
                        ' (', {{ whole_number_text('events') }}, ' of ',
                        {{ whole_number_text('lines') }}, ' lines); others have ',
                        {{ factor_text('peer_value') }}, ' in the same categories'
                    )
            end,
            case
                when summed.factor = 'category_mix' then '. No points: it is no fault.'
                when not summed.is_sufficient then '. Too few returns expected to say more.'
                else
                    concat(
                        '. Between ', {{ factor_text('lo') }}, ' and ', {{ factor_text('hi') }},
                        ' with ',
                        cast({{ policy_value('risk_interval_confidence_percent') }} as string),
                        ' % confidence; noticeable from ', {{ factor_text('threshold') }}, ': ',
                        cast(cast(summed.points as decimal(9, 0)) as string), ' of ',
                        cast(summed.weight as string), ' points.'
                    )
            end,
            case
                when summed.value_with_one_more is null then ''
                else
                    concat(
                        case summed.factor
                            when 'return_rate' then ' One more return would make it '
                            when 'rating' then ' One more rating of 1 would make it '
                            else ' One more would make it '
                        end,
                        {{ factor_text('value_with_one_more') }}, '.'
                    )
            end
        ) as sentence,
        sources.as_of_date
    from summed
    inner join sources
        on summed.source = sources.source

)

select * from final
