with cells as (

    select * from {{ ref('int_return_rate_cells') }}

),

dispersions as (

    select * from {{ ref('int_return_dispersion') }} where is_current

),

prior_exposures as (

    select * from {{ ref('int_prior_exposures') }} where is_current

),

sources as (

    select * from {{ ref('int_sources') }}

),

-- one row per unit
units as (

    {%- for unit in ['lines', 'units', 'value'] %}

    select
        source,
        entity_type,
        entity_id,
        period_grain,
        period_start,
        '{{ unit }}' as unit,
        lines_without_maturity,
        cast(lines_sold as double) as line_count,
        cast({{ unit }}_sold as decimal(18, 4)) as denominator,
        cast({{ unit }}_returned as decimal(18, 4)) as numerator,
        cast({{ unit }}_mature as decimal(18, 4)) as matured_denominator,
        cast({{ unit }}_mature_returned as decimal(18, 4)) as matured_numerator,
        cast({{ unit }}_booked as decimal(18, 4)) as booked_numerator,
        cast({{ unit }}_exposure as decimal(28, 6)) as exact_exposure,
        cast({{ unit }}_exposure as double) as exposure,
        cast({{ unit }}_exposure_error as double) as exposure_error,
        cast({{ unit }}_expected as decimal(28, 6)) as exact_expected,
        cast({{ unit }}_open as decimal(28, 6)) as exact_open,
        cast({{ unit }}_expected as double) as expected,
        cast({{ unit }}_open as double) as open_expected,
        cast({{ unit }}_squared as double) as squares
    from cells
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- what each member did in the last year, and the source in all of it
histories as (

    select
        units.source,
        units.entity_type,
        units.entity_id,
        units.period_grain,
        units.unit,
        sum(units.line_count) as line_count,
        cast(sum(units.denominator) as double) as denominator,
        cast(sum(units.numerator) as double) as numerator,
        cast(sum(units.exact_exposure) as double) as exposure,
        cast(sum(units.exact_expected) as double) as expected,
        cast(sum(units.exact_expected + units.exact_open) as double) as expected_in_all
    from units
    inner join sources
        on
            units.source = sources.source
            and {{ days_between('units.period_start', 'sources.as_of_date') }}
            < {{ policy_value('completion_window_days') }}
    group by
        units.source, units.entity_type, units.entity_id, units.period_grain, units.unit

),

members as (

    select distinct
        source,
        entity_type,
        entity_id,
        period_grain,
        unit
    from units

),

source_histories as (

    select
        source,
        period_grain,
        unit,
        coalesce(numerator / nullif(expected, 0), 0) as source_ratio,
        denominator / nullif(line_count, 0) as line_weight,
        -- what one line is expected to bring back, in the unit of the row
        expected_in_all / nullif(line_count, 0) as line_expected
    from histories
    where entity_type = 'all'

),

-- who sold nothing in it has the rate of the source; if nobody did, everything is long decided
priors as (

    select
        members.source,
        members.entity_type,
        members.entity_id,
        members.period_grain,
        members.unit,
        coalesce(
            prior_exposures.prior_exposure_lines * source_histories.line_weight, 0
        ) as prior_exposure,
        coalesce(
            prior_exposures.prior_exposure_lines * source_histories.line_expected, 0
        ) as prior_expected,
        coalesce(
            {{ exposure_ratio(
                'histories.numerator', 'histories.expected', 'source_histories.source_ratio',
                policy_value('prior_exposure_lines') ~ ' * source_histories.line_expected'
            ) }},
            source_histories.source_ratio,
            0
        ) as prior_ratio,
        dispersions.dispersion
    from members
    left join histories
        on
            members.source = histories.source
            and members.entity_type = histories.entity_type
            and members.entity_id = histories.entity_id
            and members.period_grain = histories.period_grain
            and members.unit = histories.unit
    left join source_histories
        on
            members.source = source_histories.source
            and members.period_grain = source_histories.period_grain
            and members.unit = source_histories.unit
    -- sellers, products and segments vary from month to month as categories do
    inner join prior_exposures
        on
            members.source = prior_exposures.source
            and prior_exposures.entity_type = case
                when members.entity_type in ('all', 'marketplace', 'country')
                    then members.entity_type
                else 'category'
            end
    inner join dispersions
        on
            members.source = dispersions.source
            and members.unit = dispersions.unit

),

rated as (

    select
        units.*,
        priors.prior_exposure,
        priors.dispersion,
        coalesce(
            {{ exposure_ratio(
                'units.numerator', 'units.expected', 'priors.prior_ratio', 'priors.prior_expected'
            ) }},
            0
        ) as ratio
    from units
    inner join priors
        on
            units.source = priors.source
            and units.entity_type = priors.entity_type
            and units.entity_id = priors.entity_id
            and units.period_grain = priors.period_grain
            and units.unit = priors.unit

),

remaining as (

    select
        *,
        ratio * open_expected as remaining,
        least(
            1, ratio * (expected + open_expected) / nullif(cast(denominator as double), 0)
        ) as rate
    from rated

),

projected as (

    select
        *,
        least(
            1, (cast(numerator as double) + remaining) / nullif(cast(denominator as double), 0)
        ) as projected_rate,
        {{ projection_variance(
            'rate', 'denominator', 'exposure', 'prior_exposure', 'squares', 'dispersion',
            'exposure_error'
        ) }} as variance
    from remaining

),

-- without a curve nothing can be said about sales that are still open
sale_rows as (

    select
        source,
        entity_type,
        entity_id,
        period_grain,
        period_start,
        'sale' as basis,
        unit,
        numerator,
        denominator,
        matured_numerator,
        matured_denominator,
        case when lines_without_maturity = 0 then exposure end as effective_exposure,
        case when lines_without_maturity = 0 then projected_rate end as projected_rate,
        case when lines_without_maturity = 0 then {{ projected_bound('-') }} end as projected_lo,
        case when lines_without_maturity = 0 then {{ projected_bound('+') }} end as projected_hi
    from projected
    where line_count > 0

),

-- returns on the day they were booked, against the sales of the same period
event_rows as (

    select
        source,
        entity_type,
        entity_id,
        period_grain,
        period_start,
        'event' as basis,
        unit,
        booked_numerator as numerator,
        denominator,
        cast(null as decimal(18, 4)) as matured_numerator,
        cast(null as decimal(18, 4)) as matured_denominator,
        cast(null as double) as effective_exposure,
        cast(null as double) as projected_rate,
        cast(null as double) as projected_lo,
        cast(null as double) as projected_hi
    from units

),

all_rows as (

    select * from sale_rows
    union all
    select * from event_rows

),

final as (

    select
        all_rows.source,
        all_rows.entity_type,
        all_rows.entity_id,
        all_rows.period_grain,
        all_rows.period_start,
        {{ days_between(
            "case when all_rows.period_grain = 'month' then "
            ~ dbt.dateadd('month', 1, 'all_rows.period_start')
            ~ " else " ~ dbt.dateadd('day', 7, 'all_rows.period_start') ~ " end",
            'sources.as_of_date'
        ) }} >= -1 as is_complete,
        all_rows.basis,
        all_rows.unit,
        all_rows.numerator,
        all_rows.denominator,
        case
            when all_rows.denominator > 0
                then
                round(
                    cast(all_rows.numerator as double) / cast(all_rows.denominator as double), 9
                )
        end as observed_rate,
        all_rows.matured_numerator,
        all_rows.matured_denominator,
        case
            when all_rows.matured_denominator > 0
                then
                round(
                    cast(all_rows.matured_numerator as double)
                    / cast(all_rows.matured_denominator as double),
                    9
                )
        end as matured_rate,
        round(all_rows.effective_exposure, 6) as effective_exposure,
        round(all_rows.projected_rate, 9) as projected_rate,
        round(all_rows.projected_lo, 9) as projected_lo,
        round(all_rows.projected_hi, 9) as projected_hi,
        case
            when all_rows.denominator > 0
                then
                round(all_rows.effective_exposure / cast(all_rows.denominator as double), 9)
        end as maturity,
        sources.as_of_date
    from all_rows
    inner join sources
        on all_rows.source = sources.source

)

select * from final
