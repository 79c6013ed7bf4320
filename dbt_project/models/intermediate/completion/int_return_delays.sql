-- Did returns stand still? The verdict on each replayed day and marketplace: on time, delayed, or
-- caught up since, and by how many days the returns that come are late.

with holes as (

    select * from {{ ref('int_return_holes_examined') }}

),

flows as (

    select * from {{ ref('int_return_flows') }}

),

flow_sums as (

    select
        source,
        as_of_date,
        marketplace,
        round(sum(expected_returns) / count(*), 6) as expected_per_day
    from flows
    where {{ days_between('day', 'as_of_date') }} < {{ policy_value('delay_search_days') }}
    group by source, as_of_date, marketplace

),

curve_days as (

    select
        source,
        as_of_date
    from {{ ref('int_completion_curves') }}
    where level = 0 and age_days = 0

),

marketplaces as (

    select distinct
        source,
        marketplace
    from {{ ref('int_sale_cells') }}

    union all

    select distinct
        source,
        '*' as marketplace
    from {{ ref('int_sale_cells') }}

),

-- also where nothing has been sold for so long that nothing is due
scopes as (

    select
        curve_days.source,
        curve_days.as_of_date,
        marketplaces.marketplace,
        coalesce(flow_sums.expected_per_day, 0) as expected_per_day
    from curve_days
    inner join marketplaces
        on curve_days.source = marketplaces.source
    left join flow_sums
        on
            curve_days.source = flow_sums.source
            and curve_days.as_of_date = flow_sums.as_of_date
            and marketplaces.marketplace = flow_sums.marketplace

),

judged as (

    select
        scopes.source,
        scopes.as_of_date,
        scopes.marketplace,
        scopes.expected_per_day,
        holes.first_day,
        holes.last_day,
        holes.lag_days,
        holes.observed_returns,
        holes.expected_returns,
        holes.evidence,
        holes.begun_observed,
        holes.begun_expected,
        holes.recent_count,
        holes.recent_age,
        holes.usual_age,
        holes.delayed_age,
        holes.over_evidence,
        case
            when not coalesce(holes.is_confirmed, false) then 'on_time'
            when holes.is_over then 'caught_up'
            else 'delayed'
        end as status
    from scopes
    left join holes
        on
            scopes.source = holes.source
            and scopes.as_of_date = holes.as_of_date
            and scopes.marketplace = holes.marketplace

),

source_holes as (

    select * from judged where marketplace = '*'

),

-- a marketplace that stood still when the whole source did shares its verdict, which rests on more
-- returns
shared as (

    select
        judged.*,
        judged.marketplace <> '*'
        and judged.status <> 'on_time'
        and source_holes.status <> 'on_time'
        and judged.first_day <= source_holes.last_day
        and source_holes.first_day <= judged.last_day as is_shared,
        source_holes.status as source_status,
        source_holes.lag_days as source_lag_days
    from judged
    left join source_holes
        on
            judged.source = source_holes.source
            and judged.as_of_date = source_holes.as_of_date

),

verdicts as (

    select
        *,
        case when is_shared then source_status else status end as shared_status,
        case when is_shared then source_lag_days else lag_days end as shared_lag_days
    from shared

),

final as (

    select
        source,
        as_of_date,
        marketplace,
        shared_status as status,
        case when shared_status <> 'on_time' then first_day end as started_on,
        case when shared_status <> 'on_time' then last_day end as hole_ended_on,
        cast(case when shared_status = 'delayed' then shared_lag_days else 0 end as bigint)
            as lag_days,
        cast(observed_returns as bigint) as observed_returns,
        round(expected_returns, 6) as expected_returns,
        evidence,
        cast(begun_observed as bigint) as begun_observed,
        begun_expected,
        cast(recent_count as bigint) as recent_count,
        recent_age,
        usual_age,
        delayed_age,
        over_evidence,
        expected_per_day
    from verdicts

)

select * from final
