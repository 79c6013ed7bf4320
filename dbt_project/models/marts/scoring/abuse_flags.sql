-- Patterns that are worth a look, each with what speaks for it: brackets by order, and customers
-- who often send back what was worn, or far more than others who buy the same.

with patterns as (

    select * from {{ ref('policy_abuse_patterns') }}

),

serial as (

    select * from patterns where pattern = 'serial_returning'

),

brackets as (

    select * from {{ ref('int_brackets') }}

),

-- returns that may be wardrobing: once per line
worn as (

    select
        returns.source,
        returns.order_line_id,
        max(returns.days_to_return) as days_to_return
    from {{ ref('returns') }} as returns
    inner join patterns
        on
            patterns.pattern = 'wardrobing'
            and returns.days_to_return >= patterns.late_days
            and (
                instr(
                    concat('|', patterns.worn_conditions, '|'),
                    concat('|', lower(returns.condition), '|')
                ) > 0
                or instr(
                    concat('|', patterns.worn_conditions, '|'),
                    concat('|', lower(returns.reason), '|')
                ) > 0
            )
    where returns.order_line_id is not null
    group by returns.source, returns.order_line_id

),

-- lines whose outcome is known
lines as (

    select
        order_lines.source,
        order_lines.order_line_id,
        order_lines.customer_id,
        coalesce(order_lines.category, 'unknown') as category,
        order_lines.return_class = 'returned' as is_returned,
        order_lines.unit_price,
        order_lines.net_amount,
        order_lines.ordered_at,
        order_lines.as_of_date
    from {{ ref('order_lines') }} as order_lines
    where
        order_lines.return_class in ('returned', 'kept')
        and order_lines.age_days < (select max(patterns.lookback_days) from patterns)

),

categories as (

    select
        source,
        category,
        avg(case when is_returned then 1.0 else 0.0 end) as return_rate,
        cast(sum(unit_price) as double) / count(*) as usual_price
    from lines
    group by source, category

),

customers as (

    select
        lines.source,
        lines.customer_id,
        count(*) as lines,
        sum(case when lines.is_returned then 1 else 0 end) as returned_lines,
        cast(sum(cast(categories.return_rate as decimal(18, 12))) as double)
            as expected_returned_lines,
        sum(
            case
                when worn.order_line_id is not null and lines.unit_price > categories.usual_price
                    then 1
                else 0
            end
        ) as worn_lines,
        max(worn.days_to_return) as worn_days,
        sum(lines.net_amount) as ordered_amount,
        min(lines.ordered_at) as first_ordered_at,
        max(lines.ordered_at) as last_ordered_at,
        max(lines.as_of_date) as as_of_date
    from lines
    inner join categories
        on
            lines.source = categories.source
            and lines.category = categories.category
    left join worn
        on
            lines.source = worn.source
            and lines.order_line_id = worn.order_line_id
    where lines.customer_id is not null
    group by lines.source, lines.customer_id

),

rated as (

    select
        *,
        least(greatest(expected_returned_lines / lines, 0.001), 0.999) as usual_rate,
        {{ policy_value('customer_prior_lines') }} as prior_lines
    from customers

),

margins as (

    select
        source,
        entity_id as customer_id,
        net_margin_after_returns
    from {{ ref('return_costs') }}
    where entity_type = 'customer' and entity_id <> 'guest'

),

shaped as (

    select
        rated.*,
        margins.net_margin_after_returns,
        least(0.99, rated.usual_rate * serial.peer_percent / 100.0) as high_rate,
        rated.prior_lines * rated.usual_rate + rated.returned_lines as alpha,
        rated.prior_lines * (1 - rated.usual_rate) + rated.lines - rated.returned_lines as beta
    from rated
    left join margins
        on
            rated.source = margins.source
            and rated.customer_id = margins.customer_id
    cross join serial
    where
        rated.worn_lines > 0
        or (
            rated.lines >= serial.least_lines
            and rated.returned_lines > rated.expected_returned_lines
        )

),

deviates as (

    select
        *,
        {{ beta_deviate('high_rate', 'alpha', 'beta') }} as deviate
    from shaped

),

judged as (

    select
        *,
        {{ normal_tail('deviate') }} as probability,
        concat(
            cast(worn_lines as string), ' of ', cast(returned_lines as string),
            ' returned lines came back worn, late and dearer than usual'
        ) as worn_sentence,
        concat(
            cast(returned_lines as string), ' of ', cast(lines as string),
            ' lines came back where ',
            cast(cast(expected_returned_lines as decimal(18, 1)) as string),
            ' are usual for what was bought'
        ) as serial_sentence
    from deviates

),

found as (

    select
        patterns.pattern,
        'order' as subject_type,
        brackets.source,
        brackets.order_id as subject_id,
        brackets.product_id,
        brackets.customer_id,
        brackets.first_ordered_at,
        brackets.last_ordered_at,
        brackets.lines,
        brackets.variants,
        brackets.returned_lines,
        brackets.kept_lines,
        cast(null as double) as expected_returned_lines,
        cast(null as bigint) as worn_lines,
        cast(null as double) as probability,
        brackets.ordered_amount,
        cast(null as decimal(18, 4)) as net_margin_after_returns,
        concat(
            cast(brackets.variants as string), ' sizes or colours of one product',
            case when brackets.orders > 1 then ' in orders of one day' else ' in one order' end,
            case
                when brackets.returned_lines + brackets.kept_lines < brackets.lines
                    then '; not all of them are decided yet'
                else
                    concat(
                        '; ', cast(brackets.kept_lines as string), ' of ',
                        cast(brackets.lines as string), ' lines kept'
                    )
            end
        ) as sentence,
        patterns.note,
        brackets.as_of_date
    from brackets
    inner join patterns
        on
            patterns.pattern = 'bracketing'
            and brackets.lines >= patterns.least_lines

    union all

    select
        patterns.pattern,
        'customer' as subject_type,
        judged.source,
        judged.customer_id as subject_id,
        '*' as product_id,
        judged.customer_id,
        judged.first_ordered_at,
        judged.last_ordered_at,
        judged.lines,
        cast(null as bigint) as variants,
        judged.returned_lines,
        judged.lines - judged.returned_lines as kept_lines,
        judged.expected_returned_lines,
        judged.worn_lines,
        judged.probability,
        judged.ordered_amount,
        judged.net_margin_after_returns,
        concat(
            case patterns.pattern
                when 'wardrobing' then judged.worn_sentence
                else judged.serial_sentence
            end,
            '; after returns the customer left ',
            cast(cast(judged.net_margin_after_returns as decimal(18, 2)) as string)
        ) as sentence,
        patterns.note,
        judged.as_of_date
    from judged
    inner join patterns
        on
            (
                patterns.pattern = 'wardrobing'
                and judged.worn_lines >= patterns.least_lines
            )
            or (
                patterns.pattern = 'serial_returning'
                and judged.lines >= patterns.least_lines
                and 100 * judged.probability > patterns.probability_percent
            )
    where not patterns.needs_loss or judged.net_margin_after_returns < 0

),

final as (

    select
        source,
        pattern,
        subject_type,
        subject_id,
        product_id,
        customer_id,
        first_ordered_at,
        last_ordered_at,
        cast(lines as bigint) as lines,
        cast(variants as bigint) as variants,
        cast(returned_lines as bigint) as returned_lines,
        cast(kept_lines as bigint) as kept_lines,
        cast(kept_lines as double) / nullif(kept_lines + returned_lines, 0) as keep_rate,
        expected_returned_lines,
        cast(worn_lines as bigint) as worn_lines,
        probability,
        cast(ordered_amount as decimal(18, 4)) as ordered_amount,
        net_margin_after_returns,
        sentence,
        note,
        as_of_date
    from found

)

select * from final
