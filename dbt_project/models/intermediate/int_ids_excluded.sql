with order_lines as (

    select * from {{ ref('int_order_lines_unioned') }}

),

returns as (

    select * from {{ ref('int_returns_unioned') }}

),

exclusions as (

    select * from {{ ref('policy_exclusions') }} where operator in ('equals', 'starts_with')

),

ids as (

    select distinct
        source,
        'product_id' as field,
        product_id as id
    from order_lines

    union

    select distinct
        source,
        'product_id' as field,
        product_id as id
    from returns

    union

    select distinct
        source,
        'row_kind' as field,
        row_kind as id
    from order_lines

),

order_rules as (

    select * from exclusions where field = 'order_id'

),

-- orders are too many to list first: keep those that a rule names
order_ids as (

    select
        order_lines.source,
        order_rules.field,
        order_lines.order_id as id,
        order_rules.policy_name
    from order_lines
    inner join order_rules
        on
            substr(order_lines.order_id, 1, length(order_rules.value)) = order_rules.value
            and (order_rules.operator = 'starts_with' or order_lines.order_id = order_rules.value)
            and order_rules.source in (order_lines.source, '*')

    union

    select
        returns.source,
        order_rules.field,
        returns.order_id as id,
        order_rules.policy_name
    from returns
    inner join order_rules
        on
            substr(returns.order_id, 1, length(order_rules.value)) = order_rules.value
            and (order_rules.operator = 'starts_with' or returns.order_id = order_rules.value)
            and order_rules.source in (returns.source, '*')

),

other_ids as (

    select
        ids.source,
        ids.field,
        ids.id,
        exclusions.policy_name
    from ids
    inner join exclusions
        on
            ids.field = exclusions.field
            and substr(ids.id, 1, length(exclusions.value)) = exclusions.value
            and (exclusions.operator = 'starts_with' or ids.id = exclusions.value)
            and exclusions.source in (ids.source, '*')

),

excluded as (

    select * from order_ids
    union all
    select * from other_ids

),

final as (

    select
        source,
        field,
        id,
        min(policy_name) as excluded_by
    from excluded
    group by source, field, id

)

select * from final
