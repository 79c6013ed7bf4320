-- Did returns stand still? For each replayed day and marketplace the stretch of days with the
-- clearest hole in the flow of returns, whether sales that were already coming back stopped too
-- (a falling return rate of new sales leaves them alone), and whether the hole was made good since.

with flows as (

    select * from {{ ref('int_return_flows') }}

),

curves as (

    select * from {{ ref('int_completion_curves') }} where level = 0

),

return_cells as (

    select * from {{ ref('int_return_cells') }}

),

recent_flows as (

    select * from flows
    where {{ days_between('day', 'as_of_date') }} < {{ policy_value('delay_search_days') }}

),

running as (

    select
        *,
        sum(observed_returns) over (
            partition by source, as_of_date, marketplace
            order by day
            rows between unbounded preceding and current row
        ) as observed_so_far,
        sum(expected_returns) over (
            partition by source, as_of_date, marketplace
            order by day
            rows between unbounded preceding and current row
        ) as expected_so_far
    from recent_flows

),

stretches as (

    select
        starts.source,
        starts.as_of_date,
        starts.marketplace,
        starts.day as first_day,
        ends.day as last_day,
        {{ days_between('starts.day', 'ends.day') }} + 1 as day_count,
        ends.observed_so_far - starts.observed_so_far + starts.observed_returns
            as observed_returns,
        ends.expected_so_far - starts.expected_so_far + starts.expected_returns
            as expected_returns
    from running as starts
    inner join running as ends
        on
            starts.source = ends.source
            and starts.as_of_date = ends.as_of_date
            and starts.marketplace = ends.marketplace
            and starts.day <= ends.day

),

-- log-likelihood ratio of what came against what was expected, for holes only; the clearest counts
weighed as (

    select
        *,
        round(
            case
                when observed_returns = 0 then expected_returns
                else
                    observed_returns * ln(observed_returns / expected_returns)
                    - observed_returns + expected_returns
            end,
            6
        ) as evidence
    from stretches
    where
        day_count >= {{ policy_value('delay_min_days') }}
        and 2 * observed_returns <= expected_returns
        and expected_returns > 0

),

ranked as (

    select
        *,
        row_number() over (
            partition by source, as_of_date, marketplace
            order by evidence desc, day_count, first_day
        ) as evidence_rank
    from weighed

),

quietest as (

    select * from ranked where evidence_rank = 1

),

-- credit notes come in bundles: how much more than by chance the other days vary
dispersions as (

    select
        quietest.source,
        quietest.as_of_date,
        quietest.marketplace,
        greatest(
            1,
            round(
                sum(
                    power(flows.observed_returns - flows.expected_returns, 2)
                    / flows.expected_returns
                ) / count(*),
                6
            )
        ) as dispersion
    from quietest
    inner join flows
        on
            quietest.source = flows.source
            and quietest.as_of_date = flows.as_of_date
            and quietest.marketplace = flows.marketplace
            and flows.expected_returns > 0
            and (quietest.first_day > flows.day or quietest.last_day < flows.day)
    group by quietest.source, quietest.as_of_date, quietest.marketplace

),

holes as (

    select
        quietest.source,
        quietest.as_of_date,
        quietest.marketplace,
        quietest.first_day,
        quietest.last_day,
        quietest.observed_returns,
        quietest.expected_returns,
        coalesce(dispersions.dispersion, 1) as dispersion,
        round(quietest.evidence / coalesce(dispersions.dispersion, 1), 6) as evidence,
        cast(
            round(
                quietest.day_count * (1 - quietest.observed_returns / quietest.expected_returns), 0
            ) as bigint
        ) as lag_days
    from quietest
    left join dispersions
        on
            quietest.source = dispersions.source
            and quietest.as_of_date = dispersions.as_of_date
            and quietest.marketplace = dispersions.marketplace
    where
        quietest.evidence
        >= {{ policy_value('delay_evidence') }} * coalesce(dispersions.dispersion, 1)

),

scoped_returns as (

    select
        source,
        marketplace,
        ordered_date,
        returned_date,
        sum(return_count) as return_count
    from return_cells
    group by source, marketplace, ordered_date, returned_date

    union all

    select
        source,
        '*' as marketplace,
        ordered_date,
        returned_date,
        sum(return_count) as return_count
    from return_cells
    group by source, ordered_date, returned_date

),

-- sales whose returns had begun to come before the hole: by chain ladder they let expect, whatever
-- their return rate, a known number inside it
begun as (

    select
        holes.source,
        holes.as_of_date,
        holes.marketplace,
        holes.first_day,
        holes.last_day,
        scoped_returns.ordered_date,
        sum(
            case
                when scoped_returns.returned_date < holes.first_day
                    then scoped_returns.return_count
                else 0
            end
        ) as returned_before,
        sum(
            case
                when scoped_returns.returned_date >= holes.first_day
                    then scoped_returns.return_count
                else 0
            end
        ) as returned_inside
    from holes
    inner join scoped_returns
        on
            holes.source = scoped_returns.source
            and holes.marketplace = scoped_returns.marketplace
            and holes.first_day > scoped_returns.ordered_date
            and holes.last_day >= scoped_returns.returned_date
            and {{ days_between('scoped_returns.ordered_date', 'holes.first_day') }}
            <= {{ policy_value('completion_max_age_days') }}
    group by
        holes.source,
        holes.as_of_date,
        holes.marketplace,
        holes.first_day,
        holes.last_day,
        scoped_returns.ordered_date

),

chained as (

    select
        begun.source,
        begun.as_of_date,
        begun.marketplace,
        sum(begun.returned_inside) as begun_observed,
        round(
            sum(
                begun.returned_before
                * (inside.completion - before.completion) / before.completion
            ),
            6
        ) as begun_expected
    from begun
    inner join curves as before
        on
            begun.source = before.source
            and begun.as_of_date = before.as_of_date
            and {{ days_between('begun.ordered_date', 'begun.first_day') }} - 1 = before.age_days
            and before.completion >= 0.2
    inner join curves as inside
        on
            begun.source = inside.source
            and begun.as_of_date = inside.as_of_date
            and least(
                {{ days_between('begun.ordered_date', 'begun.last_day') }},
                {{ policy_value('completion_max_age_days') }}
            ) = inside.age_days
    group by begun.source, begun.as_of_date, begun.marketplace

),

-- after the hole: how old are the returns that come, and how old would they be with and without lag
recent_ages as (

    select
        holes.source,
        holes.as_of_date,
        holes.marketplace,
        sum(flows.observed_returns) as observed_count,
        sum(flows.observed_age_sum) as observed_age_sum,
        sum(flows.expected_age_sum) / nullif(sum(flows.expected_returns), 0) as usual_age,
        sum(earlier_flows.expected_age_sum) / nullif(sum(earlier_flows.expected_returns), 0)
        + max(holes.lag_days) as delayed_age
    from holes
    inner join flows
        on
            holes.source = flows.source
            and holes.as_of_date = flows.as_of_date
            and holes.marketplace = flows.marketplace
            and holes.last_day < flows.day
            and {{ days_between('flows.day', 'holes.as_of_date') }} < 14
    inner join flows as earlier_flows
        on
            flows.source = earlier_flows.source
            and flows.as_of_date = earlier_flows.as_of_date
            and flows.marketplace = earlier_flows.marketplace
            and {{ days_between('earlier_flows.day', 'flows.day') }} = holes.lag_days
    group by holes.source, holes.as_of_date, holes.marketplace

),

flow_sums as (

    select
        source,
        as_of_date,
        marketplace,
        round(sum(expected_returns) / count(*), 6) as expected_per_day
    from recent_flows
    group by source, as_of_date, marketplace

),

curve_days as (

    select
        source,
        as_of_date
    from curves
    where age_days = 0

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

joined as (

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
        chained.begun_observed,
        chained.begun_expected,
        coalesce(chained.begun_expected, 0) > 0
        and 2 * chained.begun_observed <= chained.begun_expected
        and 2 * (
            case
                when chained.begun_observed = 0 then chained.begun_expected
                else
                    chained.begun_observed
                    * ln(chained.begun_observed / chained.begun_expected)
                    - chained.begun_observed + chained.begun_expected
            end
        ) >= {{ policy_value('delay_evidence') }} * holes.dispersion as is_confirmed,
        recent_ages.observed_count as recent_count,
        recent_ages.observed_age_sum / nullif(recent_ages.observed_count, 0) as recent_age,
        recent_ages.usual_age,
        recent_ages.delayed_age
    from scopes
    left join holes
        on
            scopes.source = holes.source
            and scopes.as_of_date = holes.as_of_date
            and scopes.marketplace = holes.marketplace
    left join chained
        on
            scopes.source = chained.source
            and scopes.as_of_date = chained.as_of_date
            and scopes.marketplace = chained.marketplace
    left join recent_ages
        on
            scopes.source = recent_ages.source
            and scopes.as_of_date = recent_ages.as_of_date
            and scopes.marketplace = recent_ages.marketplace

),

judged as (

    select
        *,
        case
            when first_day is null or not coalesce(is_confirmed, false) then 'on_time'
            when
                recent_count >= 10
                and abs(recent_age - usual_age) <= abs(recent_age - delayed_age)
                then 'caught_up'
            else 'delayed'
        end as status
    from joined

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
        expected_per_day
    from verdicts

)

select * from final
