-- order_lines: one row per source and order_line_id; every accepted line is there with its money

with duplicated_keys as (

    select
        'one row per source and order_line_id' as claim,
        source,
        order_line_id as example
    from {{ ref('order_lines') }}
    group by source, order_line_id
    having count(*) > 1

),

accepted as (

    select
        source,
        count(*) as line_count,
        sum(ordered_amount) as ordered_amount
    from {{ ref('int_order_lines_resolved') }}
    where disposition = 'order_line'
    group by source

),

published as (

    select
        source,
        count(*) as line_count,
        sum(ordered_amount) as ordered_amount
    from {{ ref('order_lines') }}
    group by source

),

lost_lines as (

    select
        'every accepted line is published once' as claim,
        accepted.source,
        cast(accepted.line_count as string) as example
    from accepted
    left join published
        on accepted.source = published.source
    where
        accepted.line_count <> coalesce(published.line_count, 0)
        or accepted.ordered_amount <> published.ordered_amount

)

select * from duplicated_keys
union all
select * from lost_lines
