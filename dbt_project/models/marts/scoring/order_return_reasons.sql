-- Why a flagged line has its score: what speaks most for a return, in words.

with reasons as (

    select * from {{ ref('ml_return_reasons') }}

),

lines as (

    select * from {{ ref('int_flagged_lines') }}

),

features as (

    select
        model_features.feature,
        model_features.kind,
        sentences.sentence,
        sentences.sentence_if_missing
    from {{ ref('policy_model_features') }} as model_features
    left join {{ ref('policy_reason_sentences') }} as sentences
        on model_features.feature = sentences.feature

),

shops as (

    select
        source,
        observed_return_rate
    from {{ ref('entity_history') }}
    where entity_type = 'source'

),

worded as (

    select
        reasons.*,
        lines.order_id,
        lines.log_odds,
        lines.as_of_date,
        features.kind,
        features.sentence,
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
        cast(cast(round(100 * shops.observed_return_rate, 0) as bigint) as string) as usual_text,
        cast(
            cast(
                round(100.0 * reasons.earlier_returns / nullif(reasons.earlier_lines, 0), 0)
                as bigint
            ) as string
        ) as share_text,
        case
            when reasons.feature_group = 'customer' and reasons.earlier_lines is null then 'guest'
            when
                coalesce(reasons.text_value, cast(reasons.numeric_value as string)) is null
                or (features.kind = 'flag' and reasons.numeric_value = 0)
                or (
                    features.sentence like '%{share}%'
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
        on reasons.source = shops.source

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
        rest,
        log_odds,
        case form
            when 'guest' then 'An order of a guest: nothing is known of the customer'
            when 'missing' then coalesce(sentence_if_missing, concat(feature, ' is not known'))
            else
                {{ filled_in("coalesce(sentence, concat(feature, ' is {value}'))", {
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
