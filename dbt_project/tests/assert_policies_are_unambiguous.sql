-- a policy row that stands twice would multiply order lines: each key once, and no rate both for
-- all sources and for one

with rates as (

    select * from {{ ref('policy_fx_rates') }}

),

doubled as (

    select
        'policy_sources' as seed,
        source as example
    from {{ ref('policy_sources') }}
    group by source
    having count(*) > 1

    union all

    select
        'policy_guest_ids' as seed,
        guest_id as example
    from {{ ref('policy_guest_ids') }}
    group by guest_id
    having count(*) > 1

    union all

    select
        'policy_parameters' as seed,
        policy_name as example
    from {{ ref('policy_parameters') }}
    group by policy_name
    having count(*) > 1

    union all

    select
        'policy_comparisons' as seed,
        comparison as example
    from {{ ref('policy_comparisons') }}
    group by comparison
    having count(*) > 1

    union all

    select
        'policy_fx_rates' as seed,
        currency as example
    from rates
    group by source, currency, reporting_currency, month
    having count(*) > 1

    union all

    select
        'policy_fx_rates' as seed,
        rates.currency as example
    from rates
    inner join rates as rates_for_all
        on
            rates.currency = rates_for_all.currency
            and rates.reporting_currency = rates_for_all.reporting_currency
            and rates.month = rates_for_all.month
    where rates.source <> '*' and rates_for_all.source = '*'

    union all

    select
        'policy_frequency_scores' as seed,
        cast(scores.f_score as string) as example
    from {{ ref('policy_frequency_scores') }} as scores
    inner join {{ ref('policy_frequency_scores') }} as others
        on
            scores.f_score < others.f_score
            and scores.orders_max >= others.orders_min

    union all

    select
        'policy_parameters: interval_confidence_percent is not in policy_confidence_levels' as seed,
        cast(parameters.value as string) as example
    from {{ ref('policy_parameters') }} as parameters
    left join {{ ref('policy_confidence_levels') }} as levels
        on parameters.value = levels.confidence_percent
    where
        parameters.policy_name = 'interval_confidence_percent'
        and levels.confidence_percent is null

    union all

    select
        'policy_completion_strata' as seed,
        cast(level as string) as example
    from {{ ref('policy_completion_strata') }}
    group by level
    having count(*) > 1

    union all

    select
        'policy_completion_strata: level 1 or 2; category, country or marketplace' as seed,
        dimension as example
    from {{ ref('policy_completion_strata') }}
    where level not in (1, 2) or dimension not in ('category', 'country', 'marketplace')

    union all

    select
        'policy_return_rate_slices' as seed,
        entity_type || ' ' || period_grain as example
    from {{ ref('policy_return_rate_slices') }}
    group by entity_type, period_grain
    having count(*) > 1

)

select * from doubled
