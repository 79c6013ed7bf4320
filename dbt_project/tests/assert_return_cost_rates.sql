-- return_cost_rates: a row for every place where something was sold and one for all of them, which
-- lies between them

with rates as (

    select * from {{ ref('return_cost_rates') }}

),

places as (

    select * from {{ ref('int_return_cost_rates') }}

),

counted as (

    select
        source,
        sum(line_count) as line_count,
        min(per_line_mid) as lowest,
        max(per_line_mid) as highest
    from places
    group by source

)

select
    rates.source,
    rates.marketplace,
    rates.category
from rates
left join places
    on
        rates.source = places.source
        and rates.marketplace = places.marketplace
        and rates.category = places.category
left join counted
    on rates.source = counted.source
where
    (
        rates.marketplace = '*'
        and (
            rates.line_count <> counted.line_count
            or not rates.per_line between counted.lowest and counted.highest
        )
    )
    or (
        rates.marketplace <> '*'
        and (places.source is null or rates.per_line is distinct from places.per_line_mid)
    )

union all

select
    places.source,
    places.marketplace,
    places.category
from places
left join rates
    on
        places.source = rates.source
        and places.marketplace = rates.marketplace
        and places.category = rates.category
where rates.source is null
