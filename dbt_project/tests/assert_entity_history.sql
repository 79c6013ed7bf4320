-- entity_history: one row per member, and whoever looks, the lines of a source are the same

with entity_history as (

    select * from {{ ref('entity_history') }}

),

order_lines as (

    select * from {{ ref('order_lines') }}

),

doubled as (

    select
        'two rows' as problem,
        source,
        entity_type || ' ' || entity_id as example
    from entity_history
    group by source, entity_type, entity_id
    having count(*) > 1

),

ledger as (

    select
        source,
        count(*) as lines,
        count(customer_id) as customer_lines,
        count(first_returned_at) as returned_lines,
        max(ordered_date) as last_order_date
    from order_lines
    group by source

),

-- what is gone by the as-of date has left the counters, at most the lines that were not sold
compared as (

    select
        ledger.*,
        max(case when entity_history.entity_type = 'source' then entity_history.line_count end)
            as source_count,
        sum(case when entity_history.entity_type = 'product' then entity_history.line_count end)
            as product_count,
        sum(case when entity_history.entity_type = 'customer' then entity_history.line_count end)
            as customer_count,
        max(
            case
                when entity_history.entity_type = 'source' then entity_history.returned_line_count
            end
        ) as returned_count,
        max(entity_history.last_order_date) as last_known_order_date
    from ledger
    left join entity_history
        on ledger.source = entity_history.source
    group by
        ledger.source,
        ledger.lines,
        ledger.customer_lines,
        ledger.returned_lines,
        ledger.last_order_date

),

unlike_the_ledger as (

    select
        'counters unlike the ledger' as problem,
        source,
        'source' as example
    from compared
    where
        source_count is null
        or source_count <> product_count
        or source_count > lines
        or customer_count > customer_lines
        or returned_count < returned_lines
        or last_known_order_date <> last_order_date

)

select * from doubled
union all
select * from unlike_the_ledger
