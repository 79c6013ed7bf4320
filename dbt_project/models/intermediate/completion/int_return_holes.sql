-- The stretch of the last days with the clearest hole in the flow of returns, per replayed day and
-- marketplace, where it is clear enough to be looked into.

with flows as (

    select * from {{ ref('int_return_flows') }}

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
        and 100 * observed_returns
        <= {{ policy_value('delay_max_flow_percent') }} * expected_returns
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

final as (

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

)

select * from final
