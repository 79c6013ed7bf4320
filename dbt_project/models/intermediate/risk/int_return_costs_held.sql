-- What a return costs: until enough of its own have come back, an entity's return costs what one of
-- its category does, and where that is unknown what one of the source does.

with costs as (

    select
        source,
        entity_type,
        entity_id,
        returns,
        cast(return_cost_mid as double) as return_cost
    from {{ ref('int_return_costs_by_entity') }}
    where
        priced_returns = returns
        and entity_type in ('all', 'category', 'seller', 'product', 'marketplace')

),

categories as (

    select distinct
        source,
        entity_type,
        entity_id,
        first_value(main_category) over (
            partition by source, entity_type, entity_id order by window_days desc
        ) as main_category
    from {{ ref('int_risk_entities') }}

),

cells as (

    select
        marketplaces.source,
        concat(marketplaces.entity_id, ' / ', categories.entity_id) as entity_id,
        categories.entity_id as category
    from categories as marketplaces
    inner join categories
        on
            marketplaces.source = categories.source
            and marketplaces.entity_type = 'marketplace'
            and categories.entity_type = 'category'

),

entities as (

    select
        source,
        entity_type,
        entity_id,
        main_category
    from categories

    union all

    select
        source,
        'category of a marketplace' as entity_type,
        entity_id,
        category as main_category
    from cells

    union all

    select
        costs.source,
        costs.entity_type,
        costs.entity_id,
        'all' as main_category
    from costs
    left join categories
        on
            costs.source = categories.source
            and costs.entity_type = categories.entity_type
            and costs.entity_id = categories.entity_id
    where categories.source is null

),

final as (

    select
        entities.source,
        entities.entity_type,
        entities.entity_id,
        (
            coalesce(own_costs.return_cost, 0)
            + {{ policy_value('risk_cost_prior_returns') }} * coalesce(
                category_costs.return_cost / category_costs.returns,
                source_costs.return_cost / source_costs.returns
            )
        )
        / (coalesce(own_costs.returns, 0) + {{ policy_value('risk_cost_prior_returns') }})
            as cost_per_return
    from entities
    left join costs as own_costs
        on
            entities.source = own_costs.source
            and entities.entity_type = own_costs.entity_type
            and entities.entity_id = own_costs.entity_id
    left join costs as category_costs
        on
            entities.source = category_costs.source
            and category_costs.entity_type = 'category'
            and entities.main_category = category_costs.entity_id
    left join costs as source_costs
        on
            entities.source = source_costs.source
            and source_costs.entity_type = 'all'

)

select * from final
