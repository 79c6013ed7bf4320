-- Why a flagged line has its score: what speaks most for a return, in words.

with said as (

    select *
    from {{ ref('ml_return_reasons') }}
    where contribution >= {{ policy_value('reason_least_permille') }} / 1000.0

),

-- what is too little to be named is part of the rest
reasons as (

    select
        *,
        sum(contribution) over (
            partition by source, order_line_id
            order by rank
            rows between unbounded preceding and unbounded following
        ) as named
    from said

),

lines as (

    select * from {{ ref('int_flagged_lines') }}

),

features as (

    select
        model_features.feature,
        model_features.kind,
        sentences.sentence,
        sentences.sentence_if_usual,
        sentences.sentence_if_missing
    from {{ ref('policy_model_features') }} as model_features
    left join {{ ref('policy_reason_sentences') }} as sentences
        on model_features.feature = sentences.feature

),

-- what was usual in the shop before the day of the order
shops as (

    select
        lines.source,
        lines.order_line_id,
        round(
            100.0 * days.returned_line_count_before / nullif(days.line_count_before, 0), 0
        ) as usual_percent,
        round(days.rating_total_before / nullif(days.rating_count_before, 0), 2) as usual_rating
    from {{ ref('int_feature_lines') }} as lines
    inner join {{ ref('int_entity_days') }} as days
        on
            lines.source_no = days.entity_no
            and lines.day_no = days.day_no
    where days.entity_type = 'source'

),

worded as (

    select
        reasons.*,
        lines.order_id,
        lines.log_odds,
        lines.as_of_date,
        features.kind,
        features.sentence,
        features.sentence_if_usual,
        features.sentence_if_missing,
        coalesce(
            reasons.text_value,
            case
                when features.kind = 'flag'
                    then case reasons.numeric_value when 1 then 'true' when 0 then 'false' end
                when reasons.numeric_value = round(reasons.numeric_value, 0)
                    then cast(cast(reasons.numeric_value as bigint) as string)
                else cast(cast(reasons.numeric_value as decimal(18, 2)) as string)
            end
        ) as value_text,
        cast(cast(round(100 * reasons.numeric_value, 0) as bigint) as string) as percent_text,
        case
            when reasons.feature like '%_rating'
                then cast(cast(shops.usual_rating as decimal(18, 2)) as string)
            else cast(cast(shops.usual_percent as bigint) as string)
        end as usual_text,
        cast(
            cast(
                round(100.0 * reasons.earlier_returns / nullif(reasons.earlier_lines, 0), 0)
                as bigint
            ) as string
        ) as share_text,
        coalesce(
            case
                when reasons.feature like '%_rating'
                    then round(reasons.numeric_value, 2) < shops.usual_rating
                when features.sentence like '%{share}%'
                    then
                    round(100.0 * reasons.earlier_returns / nullif(reasons.earlier_lines, 0), 0)
                    > shops.usual_percent
                else round(100 * reasons.numeric_value, 0) > shops.usual_percent
            end,
            false
        ) as is_unusual,
        case
            when reasons.feature_group = 'customer' and reasons.earlier_lines is null then 'guest'
            when
                coalesce(reasons.text_value, cast(reasons.numeric_value as string)) is null
                or (features.kind = 'flag' and reasons.numeric_value = 0)
                or (
                    features.sentence like '%{lines}%'
                    and coalesce(reasons.earlier_lines, 0) = 0
                )
                then 'missing'
            else 'known'
        end as form
    from reasons
    inner join lines
        on
            reasons.source = lines.source
            and reasons.order_line_id = lines.order_line_id
    left join features
        on reasons.feature = features.feature
    left join shops
        on
            reasons.source = shops.source
            and reasons.order_line_id = shops.order_line_id

),

final as (

    select
        source,
        order_line_id,
        cast(rank as bigint) as rank,
        order_id,
        case feature_group when 'customer' then 'customer history' else feature_group end
            as feature_group,
        feature,
        value_text as value,
        contribution,
        feature_contribution,
        base,
        log_odds - base - named as rest,
        log_odds,
        case form
            when 'guest' then 'An order of a guest: nothing is known of the customer'
            when 'missing' then coalesce(sentence_if_missing, concat(feature, ' is not known'))
            else
                {{ filled_in("case
                    when sentence is null then concat(feature, ' is {value}')
                    when sentence_if_usual is null or is_unusual then sentence
                    else sentence_if_usual
                end", {
                    'value': 'value_text',
                    'percent': 'percent_text',
                    'usual': 'usual_text',
                    'lines': 'cast(earlier_lines as string)',
                    'returned': 'cast(earlier_returns as string)',
                    'share': 'share_text',
                }) }}
        end as sentence,
        model_version,
        as_of_date
    from worded

)

select * from final
