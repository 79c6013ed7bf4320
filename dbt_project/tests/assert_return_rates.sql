-- return_rates has one row per key, its members add up to the whole on either basis, and the whole
-- is the ledger

with rates as (

    select * from {{ ref('return_rates') }}

),

recording_sources as (

    select source from {{ ref('int_sources') }} where has_returns

),

doubled as (

    select
        'one row per key' as claim,
        source,
        entity_type || ' ' || entity_id as example
    from rates
    group by source, entity_type, entity_id, period_grain, period_start, basis, unit
    having count(*) > 1

),

totals as (

    select
        source,
        entity_type,
        period_grain,
        period_start,
        basis,
        unit,
        sum(numerator) as numerator,
        sum(denominator) as denominator,
        sum(matured_numerator) as matured_numerator,
        sum(matured_denominator) as matured_denominator,
        sum(effective_exposure) as effective_exposure
    from rates
    group by source, entity_type, period_grain, period_start, basis, unit

),

unequal_dimensions as (

    select
        'the members of each dimension add up to the whole' as claim,
        wholes.source,
        wholes.period_grain || ' ' || cast(wholes.period_start as string) || ' ' || wholes.basis
        || ' ' || wholes.unit as example
    from totals as wholes
    inner join totals as parts
        on
            wholes.source = parts.source
            and wholes.period_grain = parts.period_grain
            and wholes.period_start = parts.period_start
            and wholes.basis = parts.basis
            and wholes.unit = parts.unit
    where
        wholes.entity_type = 'all'
        and (
            wholes.numerator <> parts.numerator
            or (wholes.denominator <> parts.denominator)
            or coalesce(wholes.matured_numerator, 0) <> coalesce(parts.matured_numerator, 0)
            or coalesce(wholes.matured_denominator, 0) <> coalesce(parts.matured_denominator, 0)
            -- unknown as soon as one line's maturity is
            or abs(wholes.effective_exposure - parts.effective_exposure)
            > 1e-9 * greatest(1, wholes.effective_exposure) + 5e-3
        )

),

line_sums as (

    select
        order_lines.source,
        {{ month_start('order_lines.ordered_date') }} as period_start,
        count(*) as lines_sold,
        sum(case when order_lines.returned_quantity > 0 then 1 else 0 end) as lines_returned,
        sum(order_lines.quantity) as units_sold,
        sum(order_lines.returned_quantity) as units_returned,
        sum(order_lines.net_amount) as value_sold,
        sum(order_lines.refund_amount) as value_returned
    from {{ ref('order_lines') }} as order_lines
    inner join recording_sources
        on order_lines.source = recording_sources.source
    where order_lines.is_sale
    group by order_lines.source, {{ month_start('order_lines.ordered_date') }}

),

return_sums as (

    select
        source,
        {{ month_start('booked_date') }} as period_start,
        sum(quantity) as units_booked,
        sum(refund_amount + excess_refund_amount) as value_booked
    from {{ ref('returns') }}
    group by source, {{ month_start('booked_date') }}

),

ledger as (

    {%- for unit in ['lines', 'units', 'value'] %}

    select
        source,
        period_start,
        'sale' as basis,
        '{{ unit }}' as unit,
        cast({{ unit }}_returned as decimal(18, 4)) as numerator
    from line_sums

    union all
    {%- endfor %}
    {%- for unit in ['units', 'value'] %}

    select
        source,
        period_start,
        'event' as basis,
        '{{ unit }}' as unit,
        cast({{ unit }}_booked as decimal(18, 4)) as numerator
    from return_sums
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

unequal_to_ledger as (

    select
        'the whole is the ledger, unmatched returns included' as claim,
        ledger.source,
        ledger.basis || ' ' || ledger.unit || ' ' || cast(ledger.period_start as string) as example
    from ledger
    left join totals
        on
            ledger.source = totals.source
            and totals.entity_type = 'all'
            and totals.period_grain = 'month'
            and ledger.period_start = totals.period_start
            and ledger.basis = totals.basis
            and ledger.unit = totals.unit
    where totals.source is null or totals.numerator <> ledger.numerator

)

select * from doubled
union all
select * from unequal_dimensions
union all
select * from unequal_to_ledger
