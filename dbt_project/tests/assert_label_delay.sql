-- label_delay: marketplaces add up to all, and what arrived is what the ledger of returns holds

with delays as (

    select * from {{ ref('label_delay') }}

),

sums as (

    select
        source,
        basis,
        week_start,
        sum(case when marketplace = 'all' then observed_returns else 0 end) as all_returns,
        sum(case when marketplace = 'all' then 0 else observed_returns end) as part_returns,
        sum(case when marketplace = 'all' then expected_returns else 0 end) as all_expected,
        sum(case when marketplace = 'all' then 0 else expected_returns end) as part_expected
    from delays
    group by source, basis, week_start

),

unequal as (

    select
        'marketplaces add up to all' as claim,
        source,
        basis || ' ' || cast(week_start as string) as example
    from sums
    where all_returns <> part_returns or abs(all_expected - part_expected) > 0.001

),

arrived as (

    select
        source,
        {{ week_start('returned_date') }} as week_start,
        sum(return_count) as returns
    from {{ ref('int_return_cells') }}
    where days_to_return <= {{ var('return_window_days') | int }}
    group by source, {{ week_start('returned_date') }}

),

miscounted as (

    select
        'every return within the window arrives once' as claim,
        delays.source,
        cast(delays.week_start as string) as example
    from delays
    left join arrived
        on
            delays.source = arrived.source
            and delays.week_start = arrived.week_start
    where
        delays.basis = 'arrival'
        and delays.marketplace = 'all'
        and delays.observed_returns <> coalesce(arrived.returns, 0)

),

final as (

    select * from unequal

    union all

    select * from miscounted

)

select * from final
