-- The currency that each source reports in: as policy_sources says, or else its most frequent one.

with order_lines as (

    select * from {{ ref('int_order_lines_unioned') }}

),

reporting_currencies as (

    select * from {{ ref('policy_sources') }}

),

load_files as (

    select * from {{ source('landing', 'load_files') }}

),

landed_sources as (

    select distinct source from load_files

),

-- only sources that nobody decided on are counted
undecided_sources as (

    select landed_sources.source
    from landed_sources
    left join reporting_currencies
        on landed_sources.source = reporting_currencies.source
    where reporting_currencies.source is null

),

undecided_lines as (

    select
        order_lines.source,
        order_lines.currency
    from order_lines
    inner join undecided_sources
        on order_lines.source = undecided_sources.source
    where
        order_lines.currency is not null
        and order_lines.reject_reasons is null

),

currencies as (

    select
        source,
        currency,
        row_number() over (
            partition by source order by count(*) desc, currency
        ) as frequency_rank
    from undecided_lines
    group by source, currency

),

final as (

    select
        landed_sources.source,
        coalesce(
            reporting_currencies.reporting_currency, currencies.currency, 'XXX'
        ) as reporting_currency
    from landed_sources
    left join reporting_currencies
        on landed_sources.source = reporting_currencies.source
    left join currencies
        on
            landed_sources.source = currencies.source
            and currencies.frequency_rank = 1

)

select * from final
