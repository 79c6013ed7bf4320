-- Which row of policy_return_costs holds where: the most specific one.

with order_lines as (

    select * from {{ ref('order_lines') }}

),

returns as (

    select * from {{ ref('returns') }} where order_line_id is null

),

sources as (

    select * from {{ ref('int_sources') }}

),

policies as (

    select * from {{ ref('policy_return_costs') }}

),

-- unmatched returns may be of a category that was never sold
placed as (

    select
        source,
        marketplace,
        category,
        count(*) as line_count
    from order_lines
    group by source, marketplace, category

    union all

    select
        source,
        marketplace,
        category,
        0 as line_count
    from returns
    group by source, marketplace, category

),

places as (

    select
        source,
        coalesce(marketplace, 'unknown') as marketplace,
        coalesce(category, 'unknown') as category,
        sum(line_count) as line_count
    from placed
    group by source, coalesce(marketplace, 'unknown'), coalesce(category, 'unknown')

),

candidates as (

    select
        places.source,
        places.marketplace,
        places.category,
        places.line_count,
        sources.reporting_currency,
        policies.component,
        policies.basis,
        policies.low,
        policies.mid,
        policies.high,
        policies.marketplace as policy_marketplace,
        policies.category as policy_category,
        row_number() over (
            partition by places.source, places.marketplace, places.category, policies.component
            order by
                case when policies.category = '*' then 2 else 1 end,
                case when policies.marketplace = '*' then 2 else 1 end,
                case when policies.currency = '*' then 2 else 1 end
        ) as precedence
    from places
    inner join sources
        on places.source = sources.source
    left join policies
        on
            policies.marketplace in ('*', places.marketplace)
            and policies.category in ('*', places.category)
            and policies.currency in ('*', sources.reporting_currency)

),

final as (

    select
        source,
        marketplace,
        category,
        cast(line_count as bigint) as line_count,
        reporting_currency as currency,
        component,
        basis,
        low,
        mid,
        high,
        policy_marketplace,
        policy_category
    from candidates
    where precedence = 1

)

select * from final
