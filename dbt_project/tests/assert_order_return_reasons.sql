-- order_return_reasons: base, contributions and rest make up the score, the largest come first,
-- no flagged line of high risk is left without a reason, and none is
-- too small to be one

with reasons as (

    select * from {{ ref('order_return_reasons') }}

),

lines as (

    select * from {{ ref('int_flagged_lines') }} where is_explained

),

summed as (

    select
        lines.source,
        lines.order_line_id,
        lines.log_odds,
        min(reasons.base) + sum(reasons.contribution) + min(reasons.rest) as said,
        count(reasons.rank) as reason_count,
        max(reasons.rank) as last_rank,
        min(reasons.contribution) as least_contribution,
        max(case when reasons.sentence is null or reasons.sentence like '%?%' then 1 else 0 end)
            as has_gap,
        lines.is_high_risk
    from lines
    left join reasons
        on
            lines.source = reasons.source
            and lines.order_line_id = reasons.order_line_id
    group by lines.source, lines.order_line_id, lines.log_odds, lines.is_high_risk

)

select
    source,
    order_line_id,
    case
        when reason_count = 0 then 'high risk without a reason'
        when reason_count <> last_rank then 'ranks are not 1, 2, 3'
        when abs(said - log_odds) > 1e-6 then 'base + contributions + rest is not the score'
        when has_gap = 1 then 'a sentence with a gap'
        else 'a reason that says next to nothing'
    end as problem
from summed
where
    (reason_count = 0 and is_high_risk)
    or (
        reason_count > 0
        and (
            reason_count <> last_rank
            or abs(said - log_odds) > 1e-6
            or has_gap = 1
            or least_contribution < {{ policy_value('reason_least_permille') }} / 1000.0
        )
    )
