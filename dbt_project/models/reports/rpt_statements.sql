with sources as (

    select
        source,
        as_of_date,
        max(case when mart = 'return_rates' and status = 'empty' then reason end) as no_returns,
        sum(case when status = 'empty' then 1 else 0 end) as empty_marts,
        sum(case when status = 'partial' then 1 else 0 end) as partial_marts,
        count(*) as marts
    from {{ ref('coverage') }}
    group by source, as_of_date

),

-- what is missing, by how many tables miss it
gaps as (

    select
        source,
        reason,
        row_number() over (partition by source order by count(*) desc, reason) as gap_rank
    from {{ ref('coverage') }}
    where status = 'partial'
    group by source, reason

),

months as (

    select
        *,
        row_number() over (partition by source order by period_start desc) as months_ago,
        lead(projected_rate) over (partition by source order by period_start desc) as before_rate,
        lead(period_start) over (partition by source order by period_start desc) as before_start
    from {{ ref('return_rates') }}
    where
        entity_type = 'all'
        and period_grain = 'month'
        and basis = 'sale'
        and unit = 'lines'
        and is_complete
        and projected_rate is not null

),

changes as (

    select
        *,
        -- what follows the amount, which the headline says
        replace(split_part(sentence, ' because ', -1), 'of timing: ', '') as reason,
        row_number() over (
            partition by source, driver = 'residual'
            order by abs(contribution) desc, driver, member
        ) as size_rank
    from {{ ref('return_change') }}
    where
        comparison = 'month_before'
        and is_latest
        and measure = 'amount'
        and dimension = 'category'

),

delays as (

    select * from {{ ref('return_delays') }} where marketplace = 'all'

),

newest_delays as (

    select
        source,
        max(known_on) as known_on
    from delays
    group by source

),

alerts as (

    select * from {{ ref('alerts') }} where status in ('new', 'open')

),

seller_alerts as (

    select
        source,
        entity_id,
        min(first_seen_at) as first_seen_at,
        {{ period_text('min(first_seen_at)', 'min(first_seen_at)') }} as first_seen_text
    from alerts
    where entity_type = 'seller'
    group by source, entity_id

),

-- the surest excess first: the lower end of the ratio, so that few lines alone make nobody bad
risky_sellers as (

    select
        *,
        row_number() over (partition by source order by lo desc, seller_id) as sureness_rank
    from {{ ref('seller_risk') }}
    where window_days = 365 and risk_tier in ('high', 'elevated')

),

leading_factors as (

    select
        *,
        row_number() over (
            partition by source, seller_id
            order by case when factor = 'return_rate' then 1 else 0 end, points desc, factor
        ) as points_rank
    from {{ ref('seller_risk_factors') }}
    where points > 0

),

-- probably too many returns, not beyond doubt: what most money is at risk for
watched_products as (

    select
        *,
        row_number() over (
            partition by source order by money_at_risk desc, entity_id
        ) as money_rank
    from {{ ref('alerts') }}
    where status = 'watch' and entity_type = 'product' and money_at_risk > 0

),

flagged as (

    select
        source,
        count(*) as orders,
        sum(case when recommended_action <> 'ship' then 1 else 0 end) as action_orders,
        sum(expected_cost) as expected_cost,
        sum(case when recommended_action <> 'ship' then expected_gain else 0 end) as expected_gain
    from {{ ref('flagged_orders') }}
    where is_actionable
    group by source

),

costs as (

    select * from {{ ref('return_costs') }}

),

costly_categories as (

    select
        *,
        row_number() over (
            partition by source order by return_cost_mid desc, entity_id
        ) as cost_rank
    from costs
    where entity_type = 'category' and return_cost_mid > 0

),

since as (

    select
        source,
        concat(
            {{ month_name('min(period_start)') }}, ' ',
            cast(extract(year from min(period_start)) as string)
        ) as month_text
    from months
    group by source

),

reserves as (

    select * from {{ ref('refund_liability') }} where known_on = as_of_date and currency = 'all'

),

-- from the day after the newest on: the next whole week, and before it what is left of this one
forecasts as (

    select
        *,
        row_number() over (partition by source order by week_start) as weeks_ahead,
        case
            when first_day > week_start
                then lead(first_day) over (partition by source order by week_start)
        end as next_first_day,
        case
            when first_day > week_start
                then lead(last_day) over (partition by source order by week_start)
        end as next_last_day,
        case
            when first_day > week_start
                then lead(expected_units) over (partition by source order by week_start)
        end as next_units,
        case
            when first_day > week_start
                then lead(expected_lo) over (partition by source order by week_start)
        end as next_lo,
        case
            when first_day > week_start
                then lead(expected_hi) over (partition by source order by week_start)
        end as next_hi
    from {{ ref('return_forecast') }}
    where known_on = as_of_date and category = 'all'

),

champions as (

    select * from {{ ref('model_cards') }} where task = 'return' and is_champion

),

health as (

    select * from {{ ref('model_health') }} where is_current

),

reconciled as (

    select
        source,
        sum(rows_read) as rows_read,
        sum(rejected_rows) as rejected_rows,
        sum(abs(rows_difference)) as rows_difference,
        sum(abs(amount_difference)) as amount_difference
    from {{ ref('row_reconciliation') }}
    group by source

),

statements as (

    select
        months.source,
        'changed' as section,
        10 as place,
        'return rate' as topic,
        case
            when months.before_rate is null then 'info'
            when months.before_rate < months.projected_lo then 'bad'
            when months.before_rate > months.projected_hi then 'good'
            else 'info'
        end as severity,
        concat(
            'Return rate of ', {{ month_name('months.period_start') }}, ': ',
            {{ share_text('months.projected_rate') }}
        ) as headline,
        concat(
            'Of the lines sold in ', {{ month_name('months.period_start') }}, ' ',
            cast(extract(year from months.period_start) as string), ', ',
            {{ share_text('months.projected_rate') }}, ' will have come back in the end (',
            {{ percent_text('months.projected_lo') }}, ' to ',
            {{ share_text('months.projected_hi') }}, '); so far ',
            {{ share_text('months.observed_rate') }}, ', as ',
            {{ whole_number_text('100 * months.maturity') }}, ' % of the returns have arrived.',
            case
                when months.before_rate is null then ''
                else concat(
                        ' ', {{ month_name('months.before_start') }}, ': ',
                        {{ share_text('months.before_rate') }},
                        case
                            when
                                months.before_rate >= months.projected_lo
                                and months.before_rate <= months.projected_hi
                                then ', a difference within chance'
                            else ''
                        end,
                        '.'
                    )
            end
        ) as sentence,
        cast(null as decimal(18, 4)) as amount,
        cast(null as string) as currency,
        'marketplace' as page,
        cast(null as string) as entity_type,
        cast(null as string) as entity_id
    from months
    where months.months_ago = 1

    union all

    select
        changes.source,
        'changed' as section,
        20 as place,
        'returned money' as topic,
        case when changes.total_change > 0 then 'watch' else 'good' end as severity,
        concat(
            'Returned money ', case when changes.total_change > 0 then 'up ' else 'down ' end,
            {{ whole_number_text('abs(changes.total_change)') }}, ' ', changes.currency
        ) as headline,
        changes.sentence,
        {{ money('changes.total_change') }} as amount,
        changes.currency,
        'marketplace' as page,
        null as entity_type,
        null as entity_id
    from changes
    where changes.driver = 'residual'

    union all

    select
        changes.source,
        'changed' as section,
        30 + changes.size_rank as place,
        'driver' as topic,
        case when changes.contribution > 0 then 'bad' else 'good' end as severity,
        concat(
            upper(substr(changes.member, 1, 1)), substr(changes.member, 2), ': ',
            {{ whole_number_text('abs(changes.contribution)') }}, ' ', changes.currency,
            case when changes.contribution > 0 then ' more, ' else ' less, ' end,
            case changes.driver
                when 'volume' then 'by the volume of sales'
                when 'mix' then 'by the mix of what was sold'
                when 'rate' then 'by its return rate'
                else 'by returns of earlier sales'
            end
        ) as headline,
        concat(
            upper(substr(changes.reason, 1, 1)), substr(changes.reason, 2)
        ) as sentence,
        {{ money('changes.contribution') }} as amount,
        changes.currency,
        'marketplace' as page,
        'category' as entity_type,
        changes.member as entity_id
    from changes
    where changes.driver <> 'residual' and changes.size_rank <= 2 and changes.contribution <> 0

    union all

    select
        delays.source,
        'changed' as section,
        40 as place,
        'timing of returns' as topic,
        case
            when delays.status = 'on_time' and delays.rate_status = 'steady' then 'info' else 'bad'
        end as severity,
        case
            when delays.status = 'on_time' then 'Returns come on time' else 'Returns are late'
        end as headline,
        delays.sentence,
        null as amount,
        null as currency,
        'cohorts' as page,
        null as entity_type,
        null as entity_id
    from delays
    inner join newest_delays
        on
            delays.source = newest_delays.source
            and delays.known_on = newest_delays.known_on

    union all

    select
        alerts.source,
        'do' as section,
        coalesce(alerts.alert_rank, 50) as place,
        'alert' as topic,
        'bad' as severity,
        case
            when alerts.monitor in ('risk', 'jumps')
                then concat('Alert: ', alerts.entity_type, ' ', alerts.entity_id)
            when alerts.entity_type = 'marketplace'
                then concat('Alert: ', alerts.metric, ', marketplace ', alerts.entity_id)
            else concat('Alert: ', alerts.metric)
        end as headline,
        alerts.sentence,
        alerts.money_at_risk as amount,
        alerts.currency,
        case
            when alerts.monitor not in ('risk', 'jumps') then 'model'
            when alerts.entity_type = 'seller' then 'sellers'
            else 'marketplace'
        end as page,
        alerts.entity_type,
        alerts.entity_id
    from alerts
    left join risky_sellers
        on
            alerts.source = risky_sellers.source
            and alerts.entity_type = 'seller'
            and alerts.entity_id = risky_sellers.seller_id
            and risky_sellers.sureness_rank <= 3
    where alerts.is_in_budget and risky_sellers.seller_id is null

    union all

    select
        risky_sellers.source,
        'do' as section,
        100 + risky_sellers.sureness_rank as place,
        'seller' as topic,
        case when risky_sellers.risk_tier = 'high' then 'bad' else 'watch' end as severity,
        concat('Call seller ', risky_sellers.seller_id) as headline,
        concat(
            case
                when risky_sellers.seller_name is null then ''
                else concat(risky_sellers.seller_name, ': ')
            end,
            cast(risky_sellers.observed as string), ' of ',
            cast(risky_sellers.compared_lines as string),
            ' lines of the last 365 days have come back; others with the same goods and customers'
            ' would have ', {{ whole_number_text('risky_sellers.expected') }},
            '. Chance allowed for, at least ',
            cast(cast(risky_sellers.lo as decimal(9, 2)) as string), ' times as many.',
            case
                when
                    leading_factors.sentence is null or leading_factors.factor = 'return_rate'
                    then ''
                else concat(' ', split_part(leading_factors.sentence, '. ', 1), '.')
            end,
            case
                when seller_alerts.first_seen_at is null then ''
                else concat(
                        ' An alert is open since ',
                        seller_alerts.first_seen_text,
                        '.'
                    )
            end
        ) as sentence,
        risky_sellers.excess_cost as amount,
        risky_sellers.currency,
        'sellers' as page,
        'seller' as entity_type,
        risky_sellers.seller_id as entity_id
    from risky_sellers
    left join leading_factors
        on
            risky_sellers.source = leading_factors.source
            and risky_sellers.seller_id = leading_factors.seller_id
            and leading_factors.points_rank = 1
    left join seller_alerts
        on
            risky_sellers.source = seller_alerts.source
            and risky_sellers.seller_id = seller_alerts.entity_id
    where risky_sellers.sureness_rank <= 3

    union all

    select
        watched_products.source,
        'do' as section,
        150 as place,
        'product' as topic,
        'watch' as severity,
        concat('Look at product ', watched_products.entity_id) as headline,
        concat(
            {{ whole_number_text('watched_products.observed') }}, ' of ',
            {{ whole_number_text('watched_products.lines') }}, ' lines of the ',
            cast(watched_products.window_days as string), ' days up to ',
            {{ period_text('watched_products.window_end', 'watched_products.window_end') }},
            ' have come back, where ', {{ whole_number_text('watched_products.expected') }},
            ' were to be expected. Probably too many, not beyond doubt: check its description,'
            ' sizes and quality.'
        ) as sentence,
        watched_products.money_at_risk as amount,
        watched_products.currency,
        'marketplace' as page,
        watched_products.entity_type,
        watched_products.entity_id
    from watched_products
    where watched_products.money_rank = 1

    union all

    select
        flagged.source,
        'do' as section,
        200 as place,
        'orders' as topic,
        case when flagged.action_orders > 0 then 'watch' else 'info' end as severity,
        concat(
            cast(flagged.action_orders as string), ' ',
            case when flagged.action_orders = 1 then 'order' else 'orders' end,
            ' to act on before shipping'
        ) as headline,
        concat(
            'Not shipped and likely to come back: ', cast(flagged.orders as string),
            case when flagged.orders = 1 then ' order' else ' orders' end,
            ', at an expected cost of ',
            {{ whole_number_text('flagged.expected_cost') }}, ' ',
            coalesce(costs.currency, ''), '. For ', cast(flagged.action_orders as string),
            ' a question to the customer or a look at the parcel is worth more than it costs,'
            ' by ',
            {{ whole_number_text('flagged.expected_gain') }}, ' ',
            coalesce(costs.currency, ''), ' in all.'
        ) as sentence,
        {{ money('flagged.expected_gain') }} as amount,
        costs.currency,
        'model' as page,
        null as entity_type,
        null as entity_id
    from flagged
    left join costs
        on
            flagged.source = costs.source
            and costs.entity_type = 'all'

    union all

    select
        reserves.source,
        'money' as section,
        10 as place,
        'refunds still to come' as topic,
        'info' as severity,
        concat(
            'Set aside ', {{ whole_number_text('reserves.liability_amount') }}, ' ',
            reserves.reporting_currency
        ) as headline,
        concat(
            {{ whole_number_text('reserves.liability_amount') }}, ' ',
            reserves.reporting_currency,
            ' of refunds are still to come for what was sold so far (',
            {{ whole_number_text('reserves.liability_lo') }}, ' to ',
            {{ whole_number_text('reserves.liability_hi') }}, ').',
            case
                when reserves.return_asset_amount > 0
                    then
                    concat(
                        ' The goods that come back with them cost ',
                        {{ whole_number_text('reserves.return_asset_amount') }}, ' ',
                        reserves.reporting_currency, '.'
                    )
                else ''
            end
        ) as sentence,
        {{ money('reserves.liability_amount') }} as amount,
        reserves.reporting_currency as currency,
        'cohorts' as page,
        null as entity_type,
        null as entity_id
    from reserves
    where reserves.liability_amount > 0

    union all

    select
        forecasts.source,
        'money' as section,
        30 as place,
        'returns of the next days' as topic,
        'info' as severity,
        concat(
            'Expect ',
            {{ whole_number_text(
                'round(forecasts.expected_units, 0) + coalesce(round(forecasts.next_units, 0), 0)'
            ) }},
            ' returned units by ', {{ period_text(
                'coalesce(forecasts.next_last_day, forecasts.last_day)',
                'coalesce(forecasts.next_last_day, forecasts.last_day)',
            ) }}
        ) as headline,
        concat(
            'At the warehouse, from ',
            {{ period_text('forecasts.first_day', 'forecasts.last_day') }}, ': ',
            {{ whole_number_text('forecasts.expected_units') }}, ' (',
            {{ whole_number_text('forecasts.expected_lo') }}, ' to ',
            {{ whole_number_text('forecasts.expected_hi') }}, ')',
            case
                when forecasts.next_units is null then ''
                else concat(
                        '; from ',
                        {{ period_text('forecasts.next_first_day', 'forecasts.next_last_day') }},
                        ': ', {{ whole_number_text('forecasts.next_units') }}, ' (',
                        {{ whole_number_text('forecasts.next_lo') }}, ' to ',
                        {{ whole_number_text('forecasts.next_hi') }}, ')'
                    )
            end,
            '.'
        ) as sentence,
        null as amount,
        null as currency,
        'cohorts' as page,
        null as entity_type,
        null as entity_id
    from forecasts
    where forecasts.weeks_ahead = 1

    union all

    select
        costs.source,
        'money' as section,
        20 as place,
        'cost of returns' as topic,
        'info' as severity,
        concat(
            'Returns cost ', {{ whole_number_text('costs.return_cost_mid') }}, ' ', costs.currency,
            ' beside the refunds'
        ) as headline,
        concat(
            case
                when since.month_text is null then 'Each'
                else concat('Sales since ', since.month_text, ': each')
            end,
            ' returned line costs ',
            cast(cast(costs.cost_per_returned_line as decimal(18, 2)) as string),
            ' ', costs.currency, ' (',
            cast(cast(costs.cost_per_returned_line_low as decimal(18, 2)) as string), ' to ',
            cast(cast(costs.cost_per_returned_line_high as decimal(18, 2)) as string),
            ') in shipping, handling, fees and markdown; ',
            {{ share_text('costs.return_cost_share') }}, ' of sales in all.',
            case
                when costly_categories.entity_id is null then ''
                else concat(
                        ' Most in ', costly_categories.entity_id, ': ',
                        {{ whole_number_text('costly_categories.return_cost_mid') }}, ' ',
                        costs.currency, '.'
                    )
            end
        ) as sentence,
        costs.return_cost_mid as amount,
        costs.currency,
        'marketplace' as page,
        'category' as entity_type,
        costly_categories.entity_id
    from costs
    left join costly_categories
        on
            costs.source = costly_categories.source
            and costly_categories.cost_rank = 1
    left join since
        on costs.source = since.source
    where costs.entity_type = 'all' and costs.return_cost_mid > 0

    union all

    select
        health.source,
        'trust' as section,
        5 as place,
        'this week' as topic,
        case health.status
            when 'trust' then 'good'
            when 'do not trust' then 'bad'
            else 'watch'
        end as severity,
        case health.status
            when 'trust' then 'The model can be trusted this week'
            when 'do not trust' then 'Do not trust the model this week'
            when 'watch' then 'Trust the model this week, and watch it'
            else 'Too early to say whether the model holds this week'
        end as headline,
        health.sentence,
        null as amount,
        null as currency,
        'model' as page,
        null as entity_type,
        null as entity_id
    from health

    union all

    select
        champions.source,
        'trust' as section,
        10 as place,
        'model' as topic,
        case when champions.has_signal then 'good' else 'bad' end as severity,
        case
            when champions.has_signal and champions.leak_checks = champions.leak_checks_passed
                then 'The model ranks returns as tested'
            when champions.has_signal then 'The model fails a leak check'
            else 'The model sees no signal'
        end as headline,
        champions.sentence,
        null as amount,
        null as currency,
        'model' as page,
        null as entity_type,
        null as entity_id
    from champions

    union all

    select
        reconciled.source,
        'trust' as section,
        30 as place,
        'data' as topic,
        case
            when reconciled.rows_difference = 0 and reconciled.amount_difference = 0 then 'good'
            else 'bad'
        end as severity,
        case
            when reconciled.rows_difference = 0 and reconciled.amount_difference = 0
                then 'Every row and cent is accounted for'
            else 'Rows or money are missing'
        end as headline,
        concat(
            {{ whole_number_text('reconciled.rows_read') }}, ' rows were read; ',
            {{ whole_number_text('reconciled.rejected_rows') }},
            ' of them were set aside with a reason. Between files and tables ',
            {{ whole_number_text('reconciled.rows_difference') }}, ' rows and ',
            cast(cast(reconciled.amount_difference as decimal(18, 2)) as string),
            ' of money are missing.'
        ) as sentence,
        null as amount,
        null as currency,
        'quality' as page,
        null as entity_type,
        null as entity_id
    from reconciled

    union all

    select
        sources.source,
        'trust' as section,
        40 as place,
        'coverage' as topic,
        case when sources.empty_marts = 0 then 'good' else 'watch' end as severity,
        case
            when sources.empty_marts + sources.partial_marts = 0
                then 'Nothing is missing in the data'
            when sources.empty_marts = 0 then 'No table is empty, some are partial'
            else concat(cast(sources.empty_marts as string), ' tables are empty')
        end as headline,
        case
            when sources.no_returns is not null
                then concat('No return rates: ', sources.no_returns, '.')
            when sources.empty_marts + sources.partial_marts = 0
                then 'The source brings what every table needs.'
            when sources.empty_marts = 0
                then
                concat(
                    cast(sources.partial_marts as string), ' of ', cast(sources.marts as string),
                    ' tables are partial, most often for this reason: ', gaps.reason, '.'
                )
            else concat(
                    cast(sources.empty_marts as string), ' of ', cast(sources.marts as string),
                    ' tables are empty, because the source does not bring what they need.'
                )
        end as sentence,
        null as amount,
        null as currency,
        'quality' as page,
        null as entity_type,
        null as entity_id
    from sources
    left join gaps
        on sources.source = gaps.source and gaps.gap_rank = 1

),

final as (

    select
        statements.source,
        statements.section,
        row_number() over (
            partition by statements.source, statements.section
            order by statements.place, statements.headline
        ) as statement_rank,
        statements.topic,
        statements.severity,
        statements.headline,
        statements.sentence,
        statements.amount,
        statements.currency,
        statements.page,
        statements.entity_type,
        statements.entity_id,
        sources.as_of_date
    from statements
    inner join sources
        on statements.source = sources.source

)

select * from final
