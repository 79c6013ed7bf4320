-- abuse_flags: every order of the last year with two sizes or colours of a product is there, and no
-- customer is flagged without enough lines and more returns than usual

with flags as (

    select * from {{ ref('abuse_flags') }}

),

patterns as (

    select * from {{ ref('policy_abuse_patterns') }}

),

order_lines as (

    select * from {{ ref('order_lines') }}

),

-- counted another way: by order
brackets as (

    select
        order_lines.source,
        order_lines.order_id,
        order_lines.product_id
    from order_lines
    inner join patterns
        on
            patterns.pattern = 'bracketing'
            and order_lines.age_days < patterns.lookback_days
    where
        order_lines.is_sale
        and (order_lines.size is not null or order_lines.colour is not null)
    group by
        order_lines.source, order_lines.order_id, order_lines.product_id, order_lines.customer_id
    having
        count(
            distinct coalesce(order_lines.size, '') || '/' || coalesce(order_lines.colour, '')
        ) > 1
        and min(order_lines.ordered_at) = max(order_lines.ordered_at)

),

counted as (

    select
        source,
        count(*) as bracket_count
    from brackets
    group by source

)

select
    'brackets of one order are missing' as problem,
    counted.source,
    cast(counted.bracket_count as string) as example
from counted
left join flags
    on
        counted.source = flags.source
        and flags.pattern = 'bracketing'
group by counted.source, counted.bracket_count
having count(flags.subject_id) < 0.99 * counted.bracket_count

union all

select
    'not what the policy asks for' as problem,
    flags.source,
    flags.subject_id as example
from flags
inner join patterns
    on flags.pattern = patterns.pattern
where
    (flags.pattern <> 'wardrobing' and flags.lines < patterns.least_lines)
    or (flags.pattern = 'wardrobing' and flags.worn_lines < patterns.least_lines)
    or (flags.pattern = 'bracketing' and flags.variants < 2)
    or (
        flags.pattern = 'serial_returning'
        and (
            100 * flags.probability <= patterns.probability_percent
            or flags.returned_lines <= flags.expected_returned_lines
        )
    )
    or (patterns.needs_loss and coalesce(flags.net_margin_after_returns, 0) >= 0)
