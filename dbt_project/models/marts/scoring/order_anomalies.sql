-- Recent orders by how unlike the others they are: a second look, after the rules.

with anomalies as (

    select * from {{ ref('ml_order_anomalies') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

brackets as (

    select
        source,
        order_id
    from {{ ref('int_brackets') }}
    group by source, order_id

),

ranked as (

    select
        anomalies.*,
        brackets.order_id is not null as has_rule_flag,
        row_number() over (
            partition by anomalies.source order by anomalies.anomaly_score desc, anomalies.order_id
        ) as anomaly_rank,
        count(*) over (partition by anomalies.source) as order_count,
        sources.as_of_date
    from anomalies
    inner join sources
        on anomalies.source = sources.source
    left join brackets
        on
            anomalies.source = brackets.source
            and anomalies.order_id = brackets.order_id

),

final as (

    select
        source,
        order_id,
        anomaly_score,
        cast(anomaly_rank as bigint) as anomaly_rank,
        1000 * anomaly_rank <= {{ policy_value('anomaly_permille') }} * order_count as is_anomalous,
        has_rule_flag,
        strangest as feature,
        case when value >= 0 then value end as value,
        case when usual >= 0 then usual end as usual_value,
        concat(
            replace(strangest, '_', ' '), ' is ',
            case
                when value >= 0 then cast(cast(value as decimal(18, 2)) as string)
                else 'not known'
            end,
            coalesce(
                concat(
                    ' where ',
                    case when usual >= 0 then cast(cast(usual as decimal(18, 2)) as string) end,
                    ' is usual'
                ), ''
            )
        ) as sentence,
        forest_precision,
        rule_precision,
        forest_precision / nullif(rule_precision, 0) as lift_over_rules,
        injected as injected_orders,
        as_of_date
    from ranked

)

select * from final
