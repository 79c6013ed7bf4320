-- Which batches are judged, and against which weeks: whole weeks, and the last days, each against
-- the weeks just before it and, where history allows, against the same weeks of the year before.

with days as (

    select
        source,
        ordered_date,
        as_of_date
    from {{ ref('return_features') }}
    group by source, ordered_date, as_of_date

),

odd_weeks as (

    select * from {{ ref('int_drift_weeks') }}

),

-- a week is judged when it is over; the first one counts if its Monday has sales
weeks as (

    select
        source,
        {{ week_start('ordered_date') }} as week_start_date,
        as_of_date
    from days
    group by source, {{ week_start('ordered_date') }}, as_of_date
    having
        min(ordered_date) >= {{ week_start('min(ordered_date)') }}
        and {{ dbt.dateadd('day', 6, week_start('ordered_date')) }} <= as_of_date

),

batches as (

    select
        source,
        'week' as batch_grain,
        week_start_date as batch_start,
        cast({{ dbt.dateadd('day', 6, 'week_start_date') }} as date) as batch_end,
        week_start_date,
        as_of_date
    from weeks
    where
        {{ days_between('week_start_date', 'as_of_date') }}
        < 7 * {{ policy_value('drift_weeks') }}

    union all

    select
        source,
        'day' as batch_grain,
        ordered_date as batch_start,
        ordered_date as batch_end,
        {{ week_start('ordered_date') }} as week_start_date,
        as_of_date
    from days
    where
        {{ days_between('ordered_date', 'as_of_date') }} < {{ policy_value('drift_days') }}

),

-- 364 days before, the weekday is the same. Weeks that were out of order are no measure of those
-- after them, but a year later they may be the season
paired as (

    select
        batches.*,
        weeks.week_start_date as reference_week,
        case
            when
                weeks.week_start_date < batches.week_start_date
                and odd_weeks.source is null
                and {{ days_between('weeks.week_start_date', 'batches.week_start_date') }}
                <= 7 * {{ policy_value('drift_recent_weeks') }}
                then 'recent'
            when
                abs({{ days_between('weeks.week_start_date', 'batches.week_start_date') }} - 364)
                <= 7 * {{ policy_value('drift_season_weeks') }}
                then 'last_year'
        end as reference
    from batches
    inner join weeks
        on
            batches.source = weeks.source
            and batches.week_start_date > weeks.week_start_date
    left join odd_weeks
        on
            weeks.source = odd_weeks.source
            and weeks.week_start_date = odd_weeks.week_start_date

),

counted as (

    select
        *,
        count(*) over (partition by source, batch_grain, batch_start, reference)
            as reference_week_count
    from paired
    where reference is not null

),

complete as (

    select *
    from counted
    where
        reference_week_count >= case reference
            when 'recent' then {{ policy_value('drift_min_recent_weeks') }}
            else 2 * {{ policy_value('drift_season_weeks') }} + 1
        end

),

-- a batch is there once for each of its references
referenced as (

    select
        source,
        batch_grain,
        batch_start,
        reference
    from complete
    group by source, batch_grain, batch_start, reference

),

-- draws of quiet lines, as they are and after a shift, against what they were drawn from
tried as (

    select
        source,
        max(as_of_date) as as_of_date,
        {{ each_number('0', policy_value('drift_resamples')) }} as run_no
    from days
    group by source

),

tries as (

    {%- for period_grain in ['resample', 'shift one', 'shift two'] %}

    select
        source,
        as_of_date,
        '{{ period_grain }}' as period_grain,
        '{{ 'pool' if period_grain == 'resample' else 'shift pool' }}' as pool_grain,
        {{ date_of('run_no') }} as period_start,
        concat('{{ period_grain }} ', cast(run_no as string)) as batch
    from tried
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

final as (

    select
        batches.source,
        concat(batches.batch_grain, ' ', cast(batches.batch_start as string)) as batch,
        batches.batch_grain,
        batches.batch_start,
        batches.batch_end,
        batches.as_of_date,
        coalesce(referenced.reference, 'none') as reference,
        'batch' as part,
        batches.batch_grain as period_grain,
        batches.batch_start as period_start
    from batches
    left join referenced
        on
            batches.source = referenced.source
            and batches.batch_grain = referenced.batch_grain
            and batches.batch_start = referenced.batch_start

    union all

    select
        source,
        concat(batch_grain, ' ', cast(batch_start as string)) as batch,
        batch_grain,
        batch_start,
        batch_end,
        as_of_date,
        reference,
        'reference' as part,
        'week' as period_grain,
        reference_week as period_start
    from complete

    {%- for part in ['batch', 'reference'] %}

    union all

    select
        source,
        batch,
        period_grain as batch_grain,
        cast(null as date) as batch_start,
        cast(null as date) as batch_end,
        as_of_date,
        'pool' as reference,
        '{{ part }}' as part,
        {%- if part == 'batch' %}
        period_grain,
        period_start
        {%- else %}
        pool_grain as period_grain,
        cast('2000-01-01' as date) as period_start
        {%- endif %}
    from tries
    {%- endfor %}

)

select * from final
