-- What one returned line costs, by place, so that lines can be priced that nobody has bought yet.

with places as (

    select * from {{ ref('int_return_cost_rates') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

-- for new places: all others together, weighed by what was sold there
united as (

    select
        source,
        marketplace,
        category,
        line_count,
        per_line_mid as per_line,
        per_unit_mid as per_unit,
        refund_share_mid as refund_share
    from places

    union all

    select
        source,
        '*' as marketplace,
        '*' as category,
        sum(line_count) as line_count,
        sum(case when has_rates then line_count * per_line_mid end)
        / nullif(sum(case when has_rates then line_count end), 0) as per_line,
        sum(case when has_rates then line_count * per_unit_mid end)
        / nullif(sum(case when has_rates then line_count end), 0) as per_unit,
        sum(case when has_rates then line_count * refund_share_mid end)
        / nullif(sum(case when has_rates then line_count end), 0) as refund_share
    from places
    group by source

),

final as (

    select
        united.source,
        united.marketplace,
        united.category,
        cast(united.line_count as bigint) as line_count,
        sources.reporting_currency as currency,
        cast(round(united.per_line, 4) as decimal(18, 4)) as per_line,
        cast(round(united.per_unit, 4) as decimal(18, 4)) as per_unit,
        cast(round(united.refund_share, 4) as decimal(18, 4)) as refund_share,
        cast({{ policy_value('value_margin_percent') }} as double) / 100 as usual_margin_share,
        sources.as_of_date
    from united
    inner join sources
        on united.source = sources.source

)

select * from final
