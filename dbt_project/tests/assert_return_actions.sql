-- return_actions: every rule of policy_return_actions can be applied by return_decisions, whose
-- macro has room for twelve, and none of them twice in one currency

with policies as (

    select * from {{ ref('policy_return_actions') }}

),

actions as (

    select * from {{ ref('return_actions') }}

),

broken as (

    select
        'one row per rule and currency, and not both a currency and all' as claim,
        rule as example
    from policies
    group by rule
    having
        count(*) <> count(distinct currency)
        or (min(currency) = '*' and max(currency) <> '*')

    union all

    select
        'at most twelve rows: give return_decisions more slots' as claim,
        rule as example
    from actions
    where rule_number > 12

    union all

    select
        'the feature is one that return_decisions knows' as claim,
        rule as example
    from policies
    where
        feature not in (
            '*', 'has_size', 'same_product_variants', 'customer_return_rate',
            'customer_returned_lines_before', 'product_return_rate', 'ordered_amount',
            'discount_share'
        )

    union all

    select
        'what costs something or has to gain something has a currency' as claim,
        rule as example
    from policies
    where currency = '*' and (action_cost <> 0 or least_gain <> 0)

    union all

    select
        'categories and ways of payment are written as the ledger writes them' as claim,
        rule as example
    from policies
    where
        categories <> lower(trim(categories))
        or payment_methods <> lower(trim(payment_methods))

    union all

    select
        'ship is what is done without a rule' as claim,
        rule as example
    from policies
    where action = 'ship'

    union all

    select
        'every row is complete' as claim,
        coalesce(rule, action) as example
    from policies
    where
        rule is null
        or action is null
        or at_least is null
        or prevented_percent is null
        or lost_sale_percent is null
        or action_cost is null
        or least_gain is null
        or instruction is null
        or is_assumed is null
        or rationale is null

)

select * from broken
