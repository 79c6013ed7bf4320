with order_lines as (

    select * from {{ ref('int_order_lines_unioned') }}

),

returns as (

    select * from {{ ref('int_returns_unioned') }}

),

load_files as (

    select * from {{ source('landing', 'load_files') }}

),

reporting_currencies as (

    select * from {{ ref('policy_sources') }}

),

landed_sources as (

    select distinct source from load_files

),

dated_rows as (

    select
        source,
        cast(ordered_at as date) as event_date,
        count(*) as row_count
    from order_lines
    where ordered_at is not null
    group by source, cast(ordered_at as date)

    union all

    select
        source,
        cast(returned_at as date) as event_date,
        count(*) as row_count
    from returns
    where returned_at is not null
    group by source, cast(returned_at as date)

),

days as (

    select
        source,
        event_date,
        sum(row_count) as row_count
    from dated_rows
    group by source, event_date

),

-- a row dated 1970 or 2099 stands alone, far from everything else: it is not part of the history
gaps as (

    select
        *,
        lag(event_date) over (partition by source order by event_date) as previous_date
    from days

),

stretches as (

    select
        *,
        sum(
            case
                when {{ days_between('previous_date', 'event_date') }}
                    > {{ policy_value('max_gap_days') }}
                    then 1
                else 0
            end
        ) over (partition by source order by event_date) as stretch_number
    from gaps

),

stretch_sizes as (

    select
        source,
        stretch_number,
        min(event_date) as first_event_date,
        max(event_date) as last_event_date,
        sum(row_count) as row_count
    from stretches
    group by source, stretch_number

),

compared_stretches as (

    select
        *,
        max(row_count) over (partition by source) as largest_row_count
    from stretch_sizes

),

history as (

    select
        source,
        min(first_event_date) as first_event_date,
        max(last_event_date) as last_event_date
    from compared_stretches
    where 100 * row_count >= {{ policy_value('min_stretch_percent') }} * largest_row_count
    group by source

),

currencies as (

    select
        source,
        currency,
        row_number() over (
            partition by source order by count(*) desc, currency
        ) as frequency_rank
    from order_lines
    where currency is not null
    group by source, currency

),

-- what a source says about returns at all: events, or a status on the line
return_facts as (

    select
        source,
        true as has_returns
    from returns

    union

    select
        source,
        true as has_returns
    from order_lines
    where return_status is not null

),

final as (

    select
        landed_sources.source,
        history.first_event_date,
        history.last_event_date,
        coalesce(
            cast({{ sql_text_or_null(var('as_of_date')) }} as date),
            history.last_event_date
        ) as as_of_date,
        coalesce(
            reporting_currencies.reporting_currency,
            currencies.currency,
            'XXX'
        ) as reporting_currency,
        coalesce(return_facts.has_returns, false) as has_returns
    from landed_sources
    left join history
        on landed_sources.source = history.source
    left join reporting_currencies
        on landed_sources.source = reporting_currencies.source
    left join currencies
        on
            landed_sources.source = currencies.source
            and currencies.frequency_rank = 1
    left join return_facts
        on landed_sources.source = return_facts.source

)

select * from final
