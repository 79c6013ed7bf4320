with margins as (

    select * from {{ ref('int_customer_margins') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

runs as (

    select * from {{ ref('model_runs') }}
    where task = 'value' and is_champion and trained_on = as_of_date

),

records as (

    select * from {{ ref('ml_lifetime_value') }}

),

parameters as (

    select
        records.source,
        {{ parameter_columns(['r', 'alpha', 'a', 'b', 'first']) }}
    from records
    inner join runs
        on
            records.source = runs.source
            and records.model = runs.model
            and records.trained_on = runs.trained_on
    where records.record = 'parameter'
    group by records.source

),

money_parameters as (

    select
        {%- for basis in ['before', 'after'] %}
        {%- for name in ['p', 'q', 'v', 'mean'] %}
        max(
            case when model = 'gamma_gamma_{{ basis }}' and name = '{{ name }}' then value end
        ) as {{ basis }}_{{ name }},
        {%- endfor %}
        {%- endfor %}
        source
    from records
    where record = 'parameter'
    group by source

),

expectations as (

    select
        source,
        repeat_count,
        tenure_days,
        value as purchases,
        hi as discounted_purchases
    from records
    where record = 'expectation'

),

-- without a fit of Gamma-Gamma the mean of all stands in; so it does for whoever kept nothing after
-- the first purchase, over which the costs of what came back could not be spread
expected as (

    select
        margins.*,
        runs.model_version,
        {{ probability_alive(
            'margins.repeat_count', 'margins.last_repeat_days', 'margins.tenure_days', 'parameters'
        ) }} as p_alive,
        {%- for basis in ['before', 'after'] %}
        coalesce(
            money_parameters.{{ basis }}_p
            * (
                money_parameters.{{ basis }}_v
                + case
                    when margins.repeat_count > 0
                        then cast(margins.repeat_margin_{{ basis }} as double)
                    else 0
                end
            )
            / (
                money_parameters.{{ basis }}_p * margins.repeat_count
                + money_parameters.{{ basis }}_q - 1
            ),
            money_parameters.{{ basis }}_mean
        ) as margin_{{ basis }},
        {%- endfor %}
        expectations.purchases,
        expectations.discounted_purchases
    from margins
    inner join runs
        on margins.source = runs.source
    inner join parameters
        on margins.source = parameters.source
    inner join money_parameters
        on margins.source = money_parameters.source
    inner join expectations
        on
            margins.source = expectations.source
            and margins.repeat_count = expectations.repeat_count
            and margins.tenure_days = expectations.tenure_days

),

final as (

    select
        expected.source,
        expected.customer_id,
        sources.reporting_currency as currency,
        expected.repeat_count + 1 as purchase_day_count,
        expected.last_repeat_days,
        expected.tenure_days,
        expected.p_alive,
        expected.p_alive * expected.purchases as expected_purchases,
        expected.p_alive * expected.discounted_purchases as discounted_purchases,
        cast(expected.margin_before as decimal(18, 4)) as margin_before_returns,
        cast(expected.margin_after as decimal(18, 4)) as margin_after_returns,
        cast(
            expected.p_alive * expected.discounted_purchases * expected.margin_before
            as decimal(18, 4)
        ) as clv_before_returns,
        cast(
            expected.p_alive * expected.discounted_purchases * expected.margin_after
            as decimal(18, 4)
        ) as clv_after_returns,
        {{ policy_value('value_horizon_months') }} as horizon_months,
        expected.has_unit_costs,
        expected.has_return_costs,
        expected.model_version,
        expected.as_of_date
    from expected
    inner join sources
        on expected.source = sources.source

)

select * from final
