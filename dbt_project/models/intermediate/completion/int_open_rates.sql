-- The return rate that the sales of a month are expected to end at, by category and currency: what
-- has come back of them over their effective exposure, held at what the year before let expect.
-- Reserve and forecast multiply it by what is still open.

with cells as (

    select * from {{ ref('int_sale_cells_replayed') }}

),

prior_exposures as (

    select * from {{ ref('int_prior_exposures') }} where entity_type = 'category'

),

dispersions as (

    select * from {{ ref('int_return_dispersion') }}

),

sums as (

    select
        source,
        as_of_date,
        category,
        original_currency,
        {{ month_start('ordered_date') }} as sale_month,
        sum(line_count) as line_count,
        {%- for unit, sold, returned, squares in [
            ('lines', 'line_count', 'returned_line_count', 'line_count'),
            ('units', 'quantity', 'returned_quantity', 'squared_quantity'),
            ('value', 'net_amount', 'refund_amount', 'squared_amount'),
        ] %}
        sum({{ sold }}) as {{ unit }}_sold,
        sum({{ returned }}) as {{ unit }}_returned,
        sum({{ weighted(sold, 'maturity') }}) as {{ unit }}_exposure,
        round(sum({{ squares }}), 2) as {{ unit }}_squares{% if not loop.last %},{% endif %}
        {%- endfor %}
    from cells
    group by source, as_of_date, category, original_currency, {{ month_start('ordered_date') }}

),

months as (

    {%- for unit in ['lines', 'units', 'value'] %}

    select
        source,
        as_of_date,
        '{{ unit }}' as unit,
        category,
        original_currency,
        sale_month,
        line_count,
        cast({{ unit }}_sold as decimal(18, 4)) as denominator,
        cast({{ unit }}_returned as decimal(18, 4)) as numerator,
        cast({{ unit }}_exposure as decimal(28, 10)) as exact_exposure,
        cast({{ unit }}_squares as double) as squares
    from sums
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

sources as (

    select
        source,
        as_of_date,
        unit,
        coalesce(cast(sum(numerator) as double) / nullif(cast(sum(exact_exposure) as double), 0), 0)
            as source_rate,
        cast(sum(denominator) as double) / sum(line_count) as line_weight
    from months
    group by source, as_of_date, unit

),

-- what the year lets expect: of the category, and of the category where one pays in this currency
category_priors as (

    select
        months.source,
        months.as_of_date,
        months.unit,
        months.category,
        prior_exposures.prior_exposure_lines * sources.line_weight as prior_exposure,
        {{ exposure_rate(
            'sum(months.numerator)', 'cast(sum(months.exact_exposure) as double)',
            'sources.source_rate',
            policy_value('prior_exposure_lines') ~ ' * sources.line_weight'
        ) }} as category_rate
    from months
    inner join sources
        on
            months.source = sources.source
            and months.as_of_date = sources.as_of_date
            and months.unit = sources.unit
    inner join prior_exposures
        on
            months.source = prior_exposures.source
            and months.as_of_date = prior_exposures.as_of_date
    group by
        months.source,
        months.as_of_date,
        months.unit,
        months.category,
        prior_exposures.prior_exposure_lines,
        sources.line_weight,
        sources.source_rate

),

priors as (

    select
        months.source,
        months.as_of_date,
        months.unit,
        months.category,
        months.original_currency,
        category_priors.prior_exposure,
        cast(sum(months.exact_exposure) as double) as year_exposure,
        {{ exposure_rate(
            'sum(months.numerator)', 'cast(sum(months.exact_exposure) as double)',
            'category_priors.category_rate', 'category_priors.prior_exposure'
        ) }} as prior_rate
    from months
    inner join category_priors
        on
            months.source = category_priors.source
            and months.as_of_date = category_priors.as_of_date
            and months.unit = category_priors.unit
            and months.category = category_priors.category
    group by
        months.source,
        months.as_of_date,
        months.unit,
        months.category,
        months.original_currency,
        category_priors.prior_exposure,
        category_priors.category_rate

),

rated as (

    select
        months.*,
        cast(months.exact_exposure as double) as exposure,
        priors.prior_rate,
        priors.prior_exposure,
        priors.prior_exposure * (priors.year_exposure + priors.prior_exposure)
        / (priors.year_exposure + 2 * priors.prior_exposure) as history_exposure,
        dispersions.dispersion * months.squares / cast(months.denominator as double)
            as clump_size,
        {{ exposure_rate(
            'months.numerator', 'cast(months.exact_exposure as double)',
            'priors.prior_rate', 'priors.prior_exposure'
        ) }} as rate
    from months
    inner join priors
        on
            months.source = priors.source
            and months.as_of_date = priors.as_of_date
            and months.unit = priors.unit
            and months.category = priors.category
            and months.original_currency = priors.original_currency
    inner join dispersions
        on
            months.source = dispersions.source
            and months.as_of_date = dispersions.as_of_date
            and months.unit = dispersions.unit
    where months.denominator > 0

),

final as (

    select
        source,
        as_of_date,
        unit,
        category,
        original_currency,
        sale_month,
        cast(line_count as bigint) as line_count,
        denominator,
        numerator,
        exposure,
        prior_rate,
        prior_exposure,
        history_exposure,
        rate,
        clump_size,
        rate * (1 - rate) * clump_size / (exposure + history_exposure) as rate_variance
    from rated

)

select * from final
