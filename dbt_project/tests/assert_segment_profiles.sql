-- segment_profiles: the segments add up to all customers who ever bought, and the shares to 1

with profiles as (

    select
        source,
        sum(customers) as customers,
        sum(orders) as orders,
        sum(gross_revenue) as gross_revenue,
        sum(net_revenue) as net_revenue,
        sum(returned_units) as returned_units,
        sum(customer_share) as customer_share,
        sum(net_revenue_share) as net_revenue_share,
        sum(net_margin_after_returns) as net_margin_after_returns
    from {{ ref('segment_profiles') }}
    group by source

),

ledger as (

    select
        source,
        count(*) as customers,
        sum(order_count) as orders,
        sum(net_amount) as gross_revenue,
        sum(kept_amount) as net_revenue,
        sum(returned_quantity) as returned_units
    from {{ ref('customers') }}
    where order_count > 0
    group by source

),

margins as (

    select
        source,
        sum(net_margin_after_returns) as net_margin_after_returns
    from {{ ref('return_costs') }}
    where entity_type = 'customer' and entity_id <> 'guest' and order_lines > 0
    group by source

),

broken as (

    select
        profiles.source,
        'segments add up to all customers who bought' as claim
    from profiles
    left join ledger
        on profiles.source = ledger.source
    where
        ledger.source is null
        or profiles.customers <> ledger.customers
        or profiles.orders <> ledger.orders
        or profiles.gross_revenue <> ledger.gross_revenue
        or profiles.net_revenue <> ledger.net_revenue
        or profiles.returned_units <> ledger.returned_units

    union all

    select
        source,
        'shares add up to 1' as claim
    from profiles
    where abs(customer_share - 1) > 0.000001 or abs(net_revenue_share - 1) > 0.000001

    union all

    select
        profiles.source,
        'the margins are those of return_costs' as claim
    from profiles
    inner join margins
        on profiles.source = margins.source
    where profiles.net_margin_after_returns <> margins.net_margin_after_returns

)

select * from broken
