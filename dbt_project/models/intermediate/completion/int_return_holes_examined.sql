-- What sales and returns around a hole in the flow of returns say: did sales that were already
-- coming back stop too (a falling return rate of new sales leaves them alone), and how old are the
-- returns that have come since.

with holes as (

    select * from {{ ref('int_return_holes') }}

),

flows as (

    select * from {{ ref('int_return_flows') }}

),

curves as (

    select * from {{ ref('int_completion_curves') }} where level = 0

),

return_cells as (

    select * from {{ ref('int_return_cells') }}

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
            and 100 * before.completion >= {{ policy_value('delay_begun_percent') }}
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
        sum(flows.observed_age_sum) / nullif(sum(flows.observed_returns), 0) as observed_age,
        sum(flows.expected_age_sum) / nullif(sum(flows.expected_returns), 0) as usual_age,
        sum(flows.expected_squared_age_sum) / nullif(sum(flows.expected_returns), 0)
        - power(sum(flows.expected_age_sum) / nullif(sum(flows.expected_returns), 0), 2)
            as age_variance,
        sum(earlier_flows.expected_age_sum) / nullif(sum(earlier_flows.expected_returns), 0)
        + max(holes.lag_days) as delayed_age
    from holes
    inner join flows
        on
            holes.source = flows.source
            and holes.as_of_date = flows.as_of_date
            and holes.marketplace = flows.marketplace
            and holes.last_day < flows.day
            and {{ days_between('flows.day', 'holes.as_of_date') }}
            < {{ policy_value('delay_recent_days') }}
    inner join flows as earlier_flows
        on
            flows.source = earlier_flows.source
            and flows.as_of_date = earlier_flows.as_of_date
            and flows.marketplace = earlier_flows.marketplace
            and {{ days_between('earlier_flows.day', 'flows.day') }} = holes.lag_days
    group by holes.source, holes.as_of_date, holes.marketplace

),

examined as (

    select
        holes.*,
        chained.begun_observed,
        chained.begun_expected,
        case
            when chained.begun_observed = 0 then chained.begun_expected
            when chained.begun_expected > 0
                then
                chained.begun_observed * ln(chained.begun_observed / chained.begun_expected)
                - chained.begun_observed + chained.begun_expected
        end as begun_evidence,
        recent_ages.observed_count as recent_count,
        recent_ages.observed_age as recent_age,
        recent_ages.usual_age,
        recent_ages.delayed_age,
        -- log-likelihood ratio of ages as usual against ages with the lag, both normal
        recent_ages.observed_count * (recent_ages.delayed_age - recent_ages.usual_age)
        * ((recent_ages.delayed_age + recent_ages.usual_age) / 2 - recent_ages.observed_age)
        / nullif(greatest(recent_ages.age_variance, 1) * holes.dispersion, 0) as over_evidence
    from holes
    left join chained
        on
            holes.source = chained.source
            and holes.as_of_date = chained.as_of_date
            and holes.marketplace = chained.marketplace
    left join recent_ages
        on
            holes.source = recent_ages.source
            and holes.as_of_date = recent_ages.as_of_date
            and holes.marketplace = recent_ages.marketplace

),

-- half of the evidence of the hole itself will do here: it is looked for in one place only
final as (

    select
        source,
        as_of_date,
        marketplace,
        first_day,
        last_day,
        lag_days,
        observed_returns,
        expected_returns,
        evidence,
        begun_observed,
        begun_expected,
        coalesce(
            begun_expected > 0
            and 100 * begun_observed
            <= {{ policy_value('delay_max_flow_percent') }} * begun_expected
            and 2 * begun_evidence >= {{ policy_value('delay_evidence') }} * dispersion,
            false
        ) as is_confirmed,
        recent_count,
        recent_age,
        usual_age,
        delayed_age,
        round(over_evidence, 6) as over_evidence,
        coalesce(over_evidence >= {{ policy_value('delay_over_evidence') }}, false) as is_over
    from examined

)

select * from final
