-- segment_stability: every source and replayed month-end has a fit or a reason, and exactly one fit

with stability as (

    select * from {{ ref('segment_stability') }}

),

days as (

    select
        source,
        as_of_date as known_on
    from {{ ref('int_as_of_dates') }}
    where is_month_end or is_current

),

answered as (

    select
        source,
        known_on,
        sum(case when is_used then 1 else 0 end) as fits,
        count(reason) as reasons
    from stability
    group by source, known_on

),

broken as (

    select
        'every replayed day has one fit or one reason' as claim,
        days.source,
        cast(days.known_on as string) as example
    from days
    left join answered
        on
            days.source = answered.source
            and days.known_on = answered.known_on
    where answered.source is null or answered.fits + answered.reasons <> 1

    union all

    select
        'the fit of the as-of date names the customers of that day' as claim,
        source,
        cast(known_on as string) as example
    from stability
    where is_used and known_on = as_of_date and (same_name_share <> 1 or kept_name_share <> 1)

    union all

    select
        'who keeps a name has it' as claim,
        source,
        cast(known_on as string) as example
    from stability
    where kept_name_share > same_name_share

)

select * from broken
