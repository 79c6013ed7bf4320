with tests as (

    select * from {{ ref('int_alert_tests') }}
    where is_open or (is_watched and week_no = last_week)

),

sales as (

    select * from {{ ref('int_alert_sales') }}

),

entities as (

    select * from {{ ref('int_alert_entities') }}

),

severities as (

    select * from {{ ref('policy_alert_severities') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

sellers as (

    select * from {{ ref('sellers') }}

),

products as (

    select * from {{ ref('products') }}

),

-- the last open week describes an alert
ranked as (

    select
        *,
        max(week_no) over (
            partition by source, entity_type, entity_id, metric, first_week
        ) as last_open_week
    from tests

),

spells as (

    select
        ranked.*,
        substr(
            md5(
                concat(
                    ranked.source,
                    '|',
                    ranked.entity_type,
                    '|',
                    ranked.entity_id,
                    '|',
                    ranked.metric,
                    '|',
                    cast(ranked.first_week as string)
                )
            ),
            1,
            16
        ) as alert_id,
        ranked.is_open and ranked.last_open_week = ranked.last_week as is_open_now
    from ranked
    where ranked.week_no = ranked.last_open_week

),

alerted as (

    select distinct
        entities.entity_no,
        entities.source,
        entities.entity_type,
        entities.entity_id
    from entities
    inner join spells
        on
            entities.source = spells.source
            and entities.entity_type = spells.entity_type
            and entities.entity_id = spells.entity_id
    where entities.entity_type in ('seller', 'product')

),

-- where most of an entity's lines were sold
placed as (

    select
        alerted.source,
        alerted.entity_type,
        alerted.entity_id,
        cells.marketplace,
        cells.category,
        min(sales.first_seller_no) as first_seller_no,
        max(sales.last_seller_no) as last_seller_no,
        row_number() over (
            partition by alerted.source, alerted.entity_type, alerted.entity_id
            order by sum(sales.lines) desc, cells.marketplace, cells.category
        ) as place_rank
    from sales
    inner join alerted
        on sales.entity_no = alerted.entity_no
    inner join entities as cells
        on sales.cell_no = cells.entity_no
    group by
        alerted.source, alerted.entity_type, alerted.entity_id, cells.marketplace, cells.category

),

scoped as (

    select
        spells.*,
        coalesce(
            placed.marketplace,
            case when spells.entity_type = 'marketplace' then spells.entity_id end
        ) as marketplace,
        coalesce(
            placed.category, case when spells.entity_type = 'category' then spells.entity_id end
        ) as category,
        case
            when spells.entity_type = 'category of a marketplace' then spells.entity_id
            else concat(placed.marketplace, ' / ', placed.category)
        end as cell,
        case when placed.first_seller_no = placed.last_seller_no then only_sellers.entity_id end
            as seller_id,
        placed.first_seller_no <> placed.last_seller_no as has_several_sellers
    from spells
    left join placed
        on
            spells.source = placed.source
            and spells.entity_type = placed.entity_type
            and spells.entity_id = placed.entity_id
            and placed.place_rank = 1
    left join entities as only_sellers
        on placed.first_seller_no = only_sellers.entity_no

),

-- an alert belongs to the nearest larger one that was open with it and is worth more: a product to
-- its seller, both to their category, that to its marketplace, and all to everybody's; the last
-- weeks to the whole year; returns of a marketplace that are late to those of all
pairs as (

    select
        scoped.source,
        scoped.alert_id,
        parents.alert_id as parent_alert_id,
        row_number() over (
            partition by scoped.source, scoped.alert_id
            order by
                case
                    when parents.entity_type = scoped.entity_type then 1
                    when parents.entity_type = 'seller' then 2
                    when parents.entity_type = 'category of a marketplace' then 3
                    when parents.entity_type = 'category' then 4
                    when parents.entity_type = 'marketplace' then 5
                    else 6
                end,
                parents.first_week,
                parents.alert_id
        ) as parent_rank
    from scoped
    inner join scoped as parents
        on
            scoped.source = parents.source
            and scoped.first_week <= parents.last_open_week
            and scoped.last_open_week >= parents.first_week
    where
        parents.is_open
        and (
            (
                parents.family = 'monitoring'
                and parents.monitor = 'labels'
                and scoped.monitor = 'labels'
                and parents.entity_type = 'source'
                and scoped.entity_type = 'marketplace'
            )
            or (
                parents.entity_type = scoped.entity_type
                and parents.entity_id = scoped.entity_id
                and parents.monitor = 'risk'
                and scoped.monitor <> 'risk'
            )
            or (
                parents.family <> 'monitoring'
                and scoped.family <> 'monitoring'
                and coalesce(scoped.money_at_risk, 0) <= coalesce(parents.money_at_risk, 0)
                and (
                    (
                        parents.entity_type = 'seller'
                        and scoped.entity_type = 'product'
                        and parents.entity_id = scoped.seller_id
                    )
                    or (
                        parents.entity_type = 'category of a marketplace'
                        and scoped.entity_type in ('product', 'seller')
                        and parents.entity_id = scoped.cell
                    )
                    or (
                        parents.entity_type = 'category'
                        and scoped.entity_type = 'category of a marketplace'
                        and scoped.entity_id like concat('% / ', parents.entity_id)
                    )
                    or (
                        parents.entity_type = 'marketplace'
                        and scoped.entity_type = 'category of a marketplace'
                        and scoped.entity_id like concat(parents.entity_id, ' / %')
                    )
                    or (
                        parents.entity_type = 'all'
                        and scoped.entity_type in (
                            'category of a marketplace', 'category', 'marketplace'
                        )
                    )
                )
            )
        )

),

grouped as (

    select
        scoped.*,
        pairs.parent_alert_id
    from scoped
    left join pairs
        on
            scoped.source = pairs.source
            and scoped.alert_id = pairs.alert_id
            and pairs.parent_rank = 1

),

-- the first severity whose conditions hold; who is only watched has the last one
graded as (

    select
        grouped.source,
        grouped.alert_id,
        min(severities.severity_rank) as severity_rank
    from grouped
    inner join severities
        on
            grouped.monitor = severities.monitor
            and grouped.effect >= severities.effect_min
            and coalesce(grouped.effect_lo, grouped.effect) >= severities.effect_lo_min
            and (grouped.is_open or severities.effect_min = 0)
    group by grouped.source, grouped.alert_id

),

-- what is wrong with data or model comes first: it says how far the others can be believed
placed_in_list as (

    select
        grouped.*,
        graded.severity_rank,
        row_number() over (
            partition by grouped.source
            order by
                case when grouped.is_open_now then 1 when grouped.is_open then 3 else 2 end,
                case when grouped.parent_alert_id is null then 1 else 2 end,
                case grouped.family when 'monitoring' then 1 else 2 end,
                coalesce(grouped.money_at_risk, 0) desc,
                grouped.effect desc,
                grouped.alert_id
        ) as list_rank
    from grouped
    inner join graded
        on
            grouped.source = graded.source
            and grouped.alert_id = graded.alert_id

),

-- monitoring has a budget of its own: neither pushes the other out
budgeted as (

    select
        *,
        row_number() over (
            partition by source, family = 'monitoring' order by list_rank
        ) as budget_rank
    from placed_in_list

),

named as (

    select
        budgeted.*,
        severities.severity,
        case
            when budgeted.entity_type = 'seller'
                then
                concat(
                    'Seller ', budgeted.entity_id,
                    case
                        when sellers.seller_name is not null
                            then concat(' (', sellers.seller_name, ')')
                        else ''
                    end
                )
            when budgeted.entity_type = 'product'
                then
                concat(
                    'Product ', budgeted.entity_id,
                    case
                        when products.product_name is not null
                            then concat(' (', products.product_name, ')')
                        else ''
                    end,
                    case
                        when budgeted.has_several_sellers then ' of several sellers'
                        when budgeted.seller_id is not null
                            then concat(' of seller ', budgeted.seller_id)
                        else ''
                    end
                )
            when budgeted.entity_type = 'marketplace'
                then concat('Marketplace ', budgeted.entity_id)
            when budgeted.entity_type = 'all' then 'All sales together'
            else concat('Category ', budgeted.entity_id)
        end as entity_name
    from budgeted
    inner join severities
        on
            budgeted.monitor = severities.monitor
            and budgeted.severity_rank = severities.severity_rank
    left join sellers
        on
            budgeted.source = sellers.source
            and budgeted.entity_type = 'seller'
            and budgeted.entity_id = sellers.seller_id
    left join products
        on
            budgeted.source = products.source
            and budgeted.entity_type = 'product'
            and budgeted.entity_id = products.product_id

),

final as (

    select
        named.source,
        named.alert_id,
        named.entity_type,
        named.entity_id,
        named.metric,
        named.window_days,
        {{ week_end('named.end_week') }} as window_end,
        named.lines,
        cast(named.observed as bigint) as observed,
        round(named.expected, 6) as expected,
        round(named.effect, 9) as effect,
        round(named.effect_lo, 9) as effect_lo,
        named.p_value,
        named.q_value,
        round(named.excess_returns, 6) as excess_returns,
        named.money_at_risk,
        sources.reporting_currency as currency,
        coalesce(named.sentence, concat(
            named.entity_name, ': ', {{ whole_number_text('named.observed') }}, ' of ',
            {{ whole_number_text('named.lines') }}, ' lines sold in the ',
            cast(named.window_days as string), ' days up to ',
            {{ period_text(week_end('named.end_week'), week_end('named.end_week')) }},
            ' have come back; ', {{ whole_number_text('named.expected') }},
            ' were to be expected by then, ', named.compared_with, '. Held towards what is usual'
            ' that is ', cast(cast(named.effect as decimal(9, 2)) as string), ' times as many',
            case
                when named.effect_lo > 1
                    then concat(
                        '; chance allowed for, at least ',
                        cast(cast(named.effect_lo as decimal(9, 2)) as string)
                    )
                when named.effect_lo <= 1 then '; chance allowed for, perhaps no more'
                else ''
            end,
            case
                when named.money_at_risk is not null
                    then concat(
                        '. What is beyond is worth ',
                        {{ whole_number_text('named.money_at_risk') }}, ' ',
                        sources.reporting_currency
                    )
                else ''
            end,
            '. ',
            case
                when not named.is_open
                    then concat(
                        'Probably at least ',
                        {{ whole_number_text(
                            policy_value('alert_min_effect_percent') ~ ' - 100'
                        ) }},
                        ' % too many, but not beyond doubt. '
                    )
                else ''
            end,
            case named.entity_type
                when 'seller'
                    then 'Ask for the reasons of its returns; see the factors of its risk.'
                when 'product' then 'Check description, size guide and quality before it sells on.'
                when 'marketplace' then 'Look at deliveries and at what was changed for everybody.'
                when 'all' then 'Look at deliveries and at what was changed everywhere.'
                else 'Look which sellers and products of it have an alert, and at what was changed.'
            end
        )) as sentence,
        {{ week_end('named.first_week') }} as first_seen_at,
        {{ week_end('named.last_open_week') }} as last_seen_at,
        case
            when not named.is_open then 'watch'
            when not named.is_open_now then 'closed'
            when named.first_week = named.last_week then 'new'
            else 'open'
        end as status,
        named.severity,
        cast(named.severity_rank as bigint) as severity_rank,
        named.parent_alert_id,
        cast(case when named.is_open_now then named.list_rank end as bigint) as alert_rank,
        named.is_open_now
        and named.parent_alert_id is null
        and named.budget_rank <= case named.family
            when 'monitoring' then {{ policy_value('alert_monitoring_budget') }}
            else {{ policy_value('alert_weekly_budget') }}
        end as is_in_budget,
        named.monitor,
        concat(
            '2: q <= ', cast({{ policy_value('alert_open_q_percent') }} as string), ' %, ',
            case named.monitor
                when 'drift' then 'warning of policy_drift_severities'
                when 'labels' then 'pace of the half year before'
                when 'calibration' then 'surely beyond performance_calibration_percent'
                when 'ranking' then 'beyond performance_auc_fall_permille'
                else
                    concat(
                        'effect > ',
                        cast({{ policy_value('alert_min_effect_percent') }} as string), ' %'
                    )
            end
        ) as rule_version,
        sources.as_of_date
    from named
    inner join sources
        on named.source = sources.source

)

select * from final
