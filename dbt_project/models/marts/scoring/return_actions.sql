-- The rules of policy_return_actions that hold in each source, in its currency.

with policies as (

    select
        *,
        row_number() over (order by rule, currency) as rule_number
    from {{ ref('policy_return_actions') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        sources.source,
        cast(policies.rule_number as bigint) as rule_number,
        policies.rule,
        policies.action,
        policies.stage,
        policies.instruction,
        policies.categories,
        policies.payment_methods,
        policies.feature,
        policies.at_least,
        policies.prevented_percent / 100 as prevented_share,
        policies.lost_sale_percent / 100 as lost_sale_share,
        policies.action_cost,
        policies.least_gain,
        policies.currency,
        policies.is_assumed,
        policies.rationale,
        sources.as_of_date
    from sources
    inner join policies
        on policies.currency in ('*', sources.reporting_currency)

)

select * from final
