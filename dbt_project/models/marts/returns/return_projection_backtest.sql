with cells as (

    select
        cells.*,
        reference_rates.reference_rate
    from {{ ref('int_sale_cells_replayed') }} as cells
    inner join {{ ref('int_reference_rates') }} as reference_rates
        on
            cells.source = reference_rates.source
            and cells.as_of_date = reference_rates.as_of_date
            and cells.stratum_1 = reference_rates.stratum_1
    where cells.is_month_end

),

current_cells as (

    select * from {{ ref('int_sale_cells_replayed') }} where is_current

),

return_cells as (

    select * from {{ ref('int_return_cells') }}

),

prior_exposures as (

    select * from {{ ref('int_prior_exposures') }}

),

dispersions as (

    select * from {{ ref('int_return_dispersion') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

-- each month that was still open on the replayed day, and the last thirty days, whose rate so far
-- is what most dashboards show
cohort_cells as (

    select
        *,
        'month' as cohort_kind,
        {{ month_start('ordered_date') }} as cohort_start
    from cells
    where {{ month_index('as_of_date') }} - {{ month_index('ordered_date') }} <= 3

    union all

    select
        *,
        'last_30_days' as cohort_kind,
        cast({{ dbt.dateadd('day', -29, 'as_of_date') }} as date) as cohort_start
    from cells
    where age_days < 30

),

final_returns as (

    select
        cell_id,
        sum(returned_line_count) as returned_line_count,
        sum(quantity) as returned_quantity,
        sum(refund_amount) as refund_amount
    from return_cells
    group by cell_id

),

compared as (

    select
        cohort_cells.*,
        coalesce(current_cells.maturity, 1) as final_maturity,
        coalesce(final_returns.returned_line_count, 0) as final_line_count,
        coalesce(final_returns.returned_quantity, 0) as final_quantity,
        coalesce(final_returns.refund_amount, 0) as final_amount
    from cohort_cells
    left join current_cells
        on cohort_cells.cell_id = current_cells.cell_id
    left join final_returns
        on cohort_cells.cell_id = final_returns.cell_id

),

entity_types as (

    select 'all' as entity_type
    union all
    select 'marketplace' as entity_type
    union all
    select 'category' as entity_type

),

cohorts as (

    {%- for unit, sold, returned, final_returned, squares in [
        ('lines', 'line_count', 'returned_line_count', 'final_line_count', 'line_count'),
        ('units', 'quantity', 'returned_quantity', 'final_quantity', 'squared_quantity'),
        ('value', 'net_amount', 'refund_amount', 'final_amount', 'squared_amount'),
    ] %}

    select
        compared.source,
        compared.as_of_date as known_on,
        compared.cohort_kind,
        compared.cohort_start,
        entity_types.entity_type,
        {{ entity_of('compared', 'entity_types.entity_type') }} as entity_id,
        '{{ unit }}' as unit,
        cast(sum(compared.{{ sold }}) as decimal(18, 4)) as denominator,
        cast(sum(compared.line_count) as double) as line_count,
        cast(sum(compared.{{ returned }}) as decimal(18, 4)) as numerator,
        cast(sum({{ weighted('compared.' ~ sold, 'compared.maturity') }}) as double) as exposure,
        cast(sum({{ weighted('compared.' ~ sold, 'compared.maturity_se') }}) as double)
            as exposure_error,
        cast(
            sum(
                {{ weighted('compared.' ~ sold, 'compared.reference_rate') }} * compared.maturity
            ) as double
        ) as expected,
        cast(
            sum(
                {{ weighted('compared.' ~ sold, 'compared.reference_rate') }}
                * (1 - compared.maturity)
            ) as double
        ) as open_expected,
        sum(cast(compared.{{ squares }} as decimal(38, 4))) as squares,
        cast(sum(compared.{{ final_returned }}) as decimal(18, 4)) as final_numerator,
        cast(sum({{ weighted('compared.' ~ sold, 'compared.final_maturity') }}) as double)
            as final_exposure
    from compared
    cross join entity_types
    group by
        compared.source,
        compared.as_of_date,
        compared.cohort_kind,
        compared.cohort_start,
        entity_types.entity_type,
        {{ entity_of('compared', 'entity_types.entity_type') }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- what the year before the replayed day let expect
years as (

    {%- for unit, sold, returned in [
        ('lines', 'line_count', 'returned_line_count'),
        ('units', 'quantity', 'returned_quantity'),
        ('value', 'net_amount', 'refund_amount'),
    ] %}

    select
        cells.source,
        cells.as_of_date as known_on,
        entity_types.entity_type,
        {{ entity_of('cells', 'entity_types.entity_type') }} as entity_id,
        '{{ unit }}' as unit,
        cast(sum(cells.{{ sold }}) as double) as denominator,
        cast(sum(cells.line_count) as double) as line_count,
        cast(sum(cells.{{ returned }}) as double) as numerator,
        cast(
            sum({{ weighted('cells.' ~ sold, 'cells.reference_rate') }} * cells.maturity) as double
        ) as expected,
        cast(sum({{ weighted('cells.' ~ sold, 'cells.reference_rate') }}) as double)
            as expected_in_all
    from cells
    cross join entity_types
    group by
        cells.source,
        cells.as_of_date,
        entity_types.entity_type,
        {{ entity_of('cells', 'entity_types.entity_type') }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

source_years as (

    select
        source,
        known_on,
        unit,
        coalesce(numerator / nullif(expected, 0), 0) as source_ratio,
        denominator / line_count as line_weight,
        expected_in_all / line_count as line_expected
    from years
    where entity_type = 'all'

),

priors as (

    select
        cohorts.*,
        prior_exposures.prior_exposure_lines * source_years.line_weight as prior_exposure,
        prior_exposures.prior_exposure_lines * source_years.line_expected as prior_expected,
        {{ exposure_ratio(
            'years.numerator', 'years.expected', 'source_years.source_ratio',
            policy_value('prior_exposure_lines') ~ ' * source_years.line_expected'
        ) }} as prior_ratio,
        dispersions.dispersion
    from cohorts
    inner join source_years
        on
            cohorts.source = source_years.source
            and cohorts.known_on = source_years.known_on
            and cohorts.unit = source_years.unit
    inner join years
        on
            cohorts.source = years.source
            and cohorts.known_on = years.known_on
            and cohorts.entity_type = years.entity_type
            and cohorts.entity_id = years.entity_id
            and cohorts.unit = years.unit
    inner join prior_exposures
        on
            cohorts.source = prior_exposures.source
            and cohorts.known_on = prior_exposures.as_of_date
            and cohorts.entity_type = prior_exposures.entity_type
    inner join dispersions
        on
            cohorts.source = dispersions.source
            and cohorts.known_on = dispersions.as_of_date
            and cohorts.unit = dispersions.unit
    where cohorts.denominator > 0

),

rated as (

    select
        *,
        coalesce(
            {{ exposure_ratio('numerator', 'expected', 'prior_ratio', 'prior_expected') }}, 0
        ) as ratio
    from priors

),

remaining as (

    select
        *,
        ratio * open_expected as remaining,
        least(1, ratio * (expected + open_expected) / cast(denominator as double)) as rate
    from rated

),

projected as (

    select
        *,
        least(1, (cast(numerator as double) + remaining) / cast(denominator as double))
            as projected_rate,
        {{ projection_variance(
            'rate', 'denominator', 'exposure', 'prior_exposure', 'cast(squares as double)',
            'dispersion', 'exposure_error'
        ) }} as variance
    from remaining

),

bounded as (

    select
        *,
        {{ projected_bound('-') }} as projected_lo,
        {{ projected_bound('+') }} as projected_hi
    from projected

),

final as (

    select
        bounded.source,
        bounded.known_on,
        bounded.cohort_kind,
        bounded.cohort_start,
        case
            when bounded.cohort_kind = 'month'
                then cast({{ dbt.dateadd(
                    'day', -1, dbt.dateadd('month', 1, 'bounded.cohort_start')
                ) }} as date)
            else bounded.known_on
        end as cohort_end,
        bounded.entity_type,
        bounded.entity_id,
        bounded.unit,
        bounded.denominator,
        bounded.numerator,
        round(bounded.exposure, 6) as effective_exposure,
        round(bounded.exposure / cast(bounded.denominator as double), 9) as maturity,
        round(cast(bounded.numerator as double) / cast(bounded.denominator as double), 9)
            as naive_rate,
        round(bounded.projected_rate, 9) as projected_rate,
        round(bounded.projected_lo, 9) as projected_lo,
        round(bounded.projected_hi, 9) as projected_hi,
        bounded.final_numerator,
        round(bounded.final_exposure / cast(bounded.denominator as double), 9) as final_maturity,
        round(cast(bounded.final_numerator as double) / cast(bounded.denominator as double), 9)
            as final_rate,
        round(
            bounded.projected_rate
            - cast(bounded.final_numerator as double) / cast(bounded.denominator as double),
            9
        ) as error,
        round(
            cast(bounded.numerator - bounded.final_numerator as double)
            / cast(bounded.denominator as double),
            9
        ) as naive_error,
        cast(bounded.final_numerator as double) / cast(bounded.denominator as double)
        between bounded.projected_lo - 1e-9 and bounded.projected_hi + 1e-9 as is_covered,
        100 * bounded.final_exposure / cast(bounded.denominator as double)
        >= {{ policy_value('final_completion_percent') }} as is_final,
        {{ days_between('sources.first_event_date', 'bounded.known_on') }}
        >= {{ policy_value('completion_max_age_days') }} as is_curve_complete,
        sources.as_of_date
    from bounded
    inner join sources
        on bounded.source = sources.source

)

select * from final
