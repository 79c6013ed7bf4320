-- The calendar of each source, from rows that are good by themselves.

with order_lines as (

    select * from {{ ref('int_order_lines_screened') }} where disposition = 'order_line'

),

returns as (

    select * from {{ ref('int_returns_screened') }} where disposition = 'return'

),

gap_limits as (

    select * from {{ ref('policy_history_gaps') }}

),

source_currencies as (

    select * from {{ ref('int_source_currencies') }}

),

dated_rows as (

    select
        source,
        cast(ordered_at as date) as event_date,
        count(*) as row_count
    from order_lines
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

-- a few rows far from everything else (1970, 2099, next year) are typing errors, not history:
-- cut the days where nothing happened for long and look how much stands alone
gaps as (

    select
        *,
        lag(event_date) over (partition by source order by event_date) as previous_date
    from days

),

stretches as (

    select
        gaps.source,
        gaps.event_date,
        gaps.row_count,
        gap_limits.gap_days,
        gap_limits.least_percent,
        sum(
            case
                when {{ days_between('gaps.previous_date', 'gaps.event_date') }}
                    > gap_limits.gap_days
                    then 1
                else 0
            end
        ) over (
            partition by gaps.source, gap_limits.gap_days order by gaps.event_date
        ) as stretch_number
    from gaps
    cross join gap_limits

),

stretch_sizes as (

    select
        source,
        gap_days,
        least_percent,
        stretch_number,
        min(event_date) as first_event_date,
        max(event_date) as last_event_date,
        sum(row_count) as row_count
    from stretches
    group by source, gap_days, least_percent, stretch_number

),

compared_stretches as (

    select
        *,
        max(row_count) over (partition by source, gap_days) as largest_row_count
    from stretch_sizes

),

history_by_limit as (

    select
        source,
        gap_days,
        min(first_event_date) as first_event_date,
        max(last_event_date) as last_event_date
    from compared_stretches
    where 100 * row_count >= least_percent * largest_row_count
    group by source, gap_days

),

history as (

    select
        source,
        max(first_event_date) as first_event_date,
        min(last_event_date) as last_event_date
    from history_by_limit
    group by source

),

-- does the source record returns at all? Totals per product do not say which line came back
return_facts as (

    select
        source,
        count(*) as row_count
    from returns
    where order_line_id is not null or order_id is not null or customer_id is not null
    group by source

    union all

    select
        source,
        count(*) as row_count
    from order_lines
    where return_status is not null
    group by source

),

recording_sources as (

    select distinct source from return_facts

),

final as (

    select
        source_currencies.source,
        history.first_event_date,
        history.last_event_date,
        coalesce(
            cast({{ sql_text_or_null(var('as_of_date')) }} as date),
            history.last_event_date
        ) as as_of_date,
        source_currencies.reporting_currency,
        recording_sources.source is not null as has_returns
    from source_currencies
    left join history
        on source_currencies.source = history.source
    left join recording_sources
        on source_currencies.source = recording_sources.source

)

select * from final
