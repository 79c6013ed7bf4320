with delays as (

    select * from {{ ref('int_return_delays') }}

),

cells as (

    select * from {{ ref('int_sale_cells_replayed') }}

),

delivery_lags as (

    select * from {{ ref('int_delivery_lags') }}

),

dispersions as (

    select * from {{ ref('int_return_dispersion') }} where unit = 'lines'

),

sources as (

    select * from {{ ref('int_sources') }}

),

-- the latest sales of which enough has come, and the quarter before them
windowed as (

    select
        *,
        case
            when age_days - lag_days < {{ policy_value('rate_recent_days') }} then 'recent'
            else 'reference'
        end as sale_window
    from cells
    where
        age_days - lag_days < {{ policy_value('rate_recent_days') }}
        + {{ policy_value('rate_reference_days') }}
        and (
            100 * maturity >= {{ policy_value('rate_min_maturity_percent') }}
            or age_days - lag_days >= {{ policy_value('rate_recent_days') }}
        )

),

scoped as (

    select
        source,
        as_of_date,
        marketplace,
        sale_window,
        sum(returned_line_count) as returned_line_count,
        sum({{ weighted('line_count', 'maturity') }}) as exposure,
        sum({{ weighted('line_count', 'maturity_se') }}) as exposure_error
    from windowed
    group by source, as_of_date, marketplace, sale_window

    union all

    select
        source,
        as_of_date,
        '*' as marketplace,
        sale_window,
        sum(returned_line_count) as returned_line_count,
        sum({{ weighted('line_count', 'maturity') }}) as exposure,
        sum({{ weighted('line_count', 'maturity_se') }}) as exposure_error
    from windowed
    group by source, as_of_date, sale_window

),

rates as (

    select
        source,
        as_of_date,
        marketplace,
        max(case when sale_window = 'recent' then cast(exposure as double) end) as recent_exposure,
        max(case when sale_window = 'recent' then cast(exposure_error as double) end)
            as recent_error,
        max(case when sale_window = 'recent' then returned_line_count end) as recent_returned,
        max(case when sale_window = 'reference' then cast(exposure as double) end)
            as reference_exposure,
        max(case when sale_window = 'reference' then returned_line_count end)
            as reference_returned
    from scoped
    group by source, as_of_date, marketplace

),

compared as (

    select
        rates.*,
        least(1, rates.recent_returned / nullif(rates.recent_exposure, 0)) as recent_rate,
        least(1, rates.reference_returned / nullif(rates.reference_exposure, 0)) as reference_rate,
        dispersions.dispersion
    from rates
    inner join dispersions
        on
            rates.source = dispersions.source
            and rates.as_of_date = dispersions.as_of_date

),

tested as (

    select
        *,
        (recent_rate - reference_rate) / nullif(
            sqrt(
                greatest(reference_rate * (1 - reference_rate), 0.0001) * dispersion
                * (1 / recent_exposure + 1 / reference_exposure)
                + power(recent_rate * recent_error / recent_exposure, 2)
            ),
            0
        ) as rate_z
    from compared

),

-- sales of the last four weeks, by lines
recent_deliveries as (

    select
        source,
        as_of_date,
        marketplace,
        line_count,
        delivery_lag_days
    from delivery_lags
    where {{ days_between('sale_week', 'as_of_date') }} < {{ policy_value('rate_recent_days') }}

    union all

    select
        source,
        as_of_date,
        '*' as marketplace,
        line_count,
        delivery_lag_days
    from delivery_lags
    where {{ days_between('sale_week', 'as_of_date') }} < {{ policy_value('rate_recent_days') }}

),

delivered as (

    select
        source,
        as_of_date,
        marketplace,
        round(cast(sum(line_count * delivery_lag_days) as double) / sum(line_count), 2)
            as delivery_lag_days
    from recent_deliveries
    group by source, as_of_date, marketplace

),

judged as (

    select
        delays.*,
        delivered.delivery_lag_days,
        tested.recent_rate,
        tested.reference_rate,
        tested.rate_z,
        tested.recent_exposure,
        tested.reference_exposure,
        case
            when tested.rate_z is null then 'unknown'
            when
                abs(tested.rate_z) < {{ policy_value('rate_change_min_z') }}
                or 100 * abs(tested.recent_rate - tested.reference_rate)
                < {{ policy_value('rate_change_min_percent') }} * tested.reference_rate
                then 'steady'
            when tested.rate_z < 0 then 'falling'
            else 'rising'
        end as rate_status
    from delays
    left join tested
        on
            delays.source = tested.source
            and delays.as_of_date = tested.as_of_date
            and delays.marketplace = tested.marketplace
    left join delivered
        on
            delays.source = delivered.source
            and delays.as_of_date = delivered.as_of_date
            and delays.marketplace = delivered.marketplace

),

final as (

    select
        judged.source,
        judged.as_of_date as known_on,
        case judged.marketplace when '*' then 'all' else judged.marketplace end as marketplace,
        judged.status,
        judged.started_on,
        judged.hole_ended_on as ended_on,
        judged.lag_days,
        judged.observed_returns,
        round(judged.expected_returns, 1) as expected_returns,
        judged.begun_observed as begun_observed_returns,
        round(judged.begun_expected, 1) as begun_expected_returns,
        judged.evidence,
        round(judged.recent_age, 2) as recent_return_age,
        round(judged.usual_age, 2) as usual_return_age,
        judged.delivery_lag_days,
        judged.rate_status,
        round(judged.recent_rate, 9) as recent_rate,
        round(judged.reference_rate, 9) as reference_rate,
        round(judged.rate_z, 6) as rate_z,
        case judged.status
            when 'delayed'
                then
                'Returns stood still from ' || cast(judged.started_on as string) || ' to '
                || cast(judged.hole_ended_on as string) || ': '
                || cast(judged.observed_returns as string) || ' came, about '
                || cast(cast(round(judged.expected_returns, 0) as bigint) as string)
                || ' were due. They are late, not gone: sales count as '
                || cast(judged.lag_days as string) || ' days younger.'
            when 'caught_up'
                then
                'Returns stood still from ' || cast(judged.started_on as string) || ' to '
                || cast(judged.hole_ended_on as string) || ' and have caught up since.'
            else 'Returns come as usual.'
        end
        || case
            when judged.delivery_lag_days >= 1
                then
                ' Sales of the last four weeks are delivered '
                || cast(cast(judged.delivery_lag_days as decimal(9, 1)) as string)
                || ' days later than usual, so their returns come later too.'
            else ''
        end
        || case judged.rate_status
            when 'unknown' then ''
            when 'steady' then ' The return rate is steady.'
            else
                ' The return rate of the latest sales is ' || judged.rate_status || ': '
                || cast(cast(round(100 * judged.recent_rate, 1) as decimal(9, 1)) as string)
                || ' % against '
                || cast(cast(round(100 * judged.reference_rate, 1) as decimal(9, 1)) as string)
                || ' % in the quarter before.'
        end as sentence,
        sources.as_of_date
    from judged
    inner join sources
        on judged.source = sources.source

)

select * from final
