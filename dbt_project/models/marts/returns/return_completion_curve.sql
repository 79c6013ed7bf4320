with curves as (

    select * from {{ ref('int_completion_curves') }}

),

as_of_dates as (

    select * from {{ ref('int_as_of_dates') }} where is_current

),

dimensions as (

    select
        max(case when level = 1 then dimension end) as dimension_1,
        max(case when level = 2 then dimension end) as dimension_2
    from {{ ref('policy_completion_strata') }}

),

final as (

    select
        curves.source,
        cast(curves.level as bigint) as stratum_level,
        curves.stratum_1,
        curves.stratum_2,
        case when curves.level >= 1 then dimensions.dimension_1 end as dimension_1,
        case when curves.level >= 2 then dimensions.dimension_2 end as dimension_2,
        curves.age_days,
        curves.return_count,
        curves.at_risk_count,
        round(curves.hazard, 9) as hazard,
        cast(curves.completion as double) as completion,
        greatest(
            0, cast(curves.completion as double)
            - {{ interval_z() }} * cast(curves.completion_se as double)
        ) as completion_lo,
        least(
            1, cast(curves.completion as double)
            + {{ interval_z() }} * cast(curves.completion_se as double)
        ) as completion_hi,
        cast(curves.maturity_se as double) as maturity_se,
        curves.stratum_return_count,
        case
            when curves.level = 0 then cast(1 as double)
            else
                round(
                    cast(curves.at_risk_count as double)
                    / (curves.at_risk_count + {{ policy_value('completion_pooling_returns') }}),
                    9
                )
        end as own_weight,
        as_of_dates.as_of_date
    from curves
    inner join as_of_dates
        on
            curves.source = as_of_dates.source
            and curves.as_of_date = as_of_dates.as_of_date
    cross join dimensions

)

select * from final
