-- Which weeks are out of order, so that later weeks are not held against them: a third of their
-- lines would have to be others to be like the median of the quarter before. A first pass: the
-- median week does not follow what lasts for less than half of it, and each week is judged from
-- what was known when it ended.

with sources as (

    select * from {{ ref('int_sources') }}

),

cells as (

    select cells.*
    from {{ ref('int_drift_cells') }} as cells
    inner join sources
        on cells.source = sources.source
    where
        cells.period_grain = 'week'
        and cells.feature in (
            {%- for feature in drift_steady() %}
            '{{ feature }}'{{ ',' if not loop.last }}
            {%- endfor %}
        )
        and {{ dbt.dateadd('day', 6, 'cells.period_start') }} <= sources.as_of_date

),

origins as (

    select
        source,
        min(period_start) as first_week
    from cells
    group by source

),

-- bins are those of the first half year, for ever
found as (

    select
        cells.source,
        cells.feature,
        cells.value,
        cells.member,
        sum(
            case
                when {{ days_between('origins.first_week', 'cells.period_start') }} < 182
                    then cells.lines
                else 0
            end
        ) as first_lines
    from cells
    inner join origins
        on cells.source = origins.source
    group by cells.source, cells.feature, cells.value, cells.member

),

placed as (

    select
        *,
        row_number() over (
            partition by source, feature
            order by case when member is null then 1 else 0 end, first_lines desc, member, value
        ) as member_rank,
        sum(first_lines) over (
            partition by source, feature
            order by case when value is null then 1 else 0 end, value, member
            rows between unbounded preceding and current row
        ) - first_lines as lines_below,
        sum(case when value is not null then first_lines end) over (partition by source, feature)
            as known_lines
    from found

),

binned as (

    select
        source,
        feature,
        value,
        member,
        case
            when member is not null
                then least(member_rank, {{ policy_value('drift_bins') }})
            when value is not null
                then
                least(
                    floor({{ policy_value('drift_bins') }} * lines_below / nullif(known_lines, 0))
                    + 1,
                    {{ policy_value('drift_bins') }}
                )
            else -1
        end as bin
    from placed

),

bins as (

    select
        source,
        feature,
        bin,
        row_number() over (order by source, feature, bin) as bin_no
    from binned
    group by source, feature, bin

),

counted as (

    select
        cells.source,
        cells.feature,
        cells.period_start,
        bins.bin_no,
        sum(cells.lines) as lines
    from cells
    inner join binned
        on
            cells.source = binned.source
            and cells.feature = binned.feature
            and cells.value is not distinct from binned.value
            and cells.member is not distinct from binned.member
    inner join bins
        on
            binned.source = bins.source
            and binned.feature = bins.feature
            and binned.bin = bins.bin
    group by cells.source, cells.feature, cells.period_start, bins.bin_no

),

weeks as (

    select
        source,
        feature,
        period_start,
        sum(lines) as lines
    from counted
    group by source, feature, period_start

),

-- also the bins that a week has nothing in
shares as (

    select
        weeks.source,
        weeks.feature,
        weeks.period_start,
        bins.bin_no,
        weeks.lines as week_lines,
        coalesce(counted.lines, 0) / weeks.lines as share
    from weeks
    inner join bins
        on
            weeks.source = bins.source
            and weeks.feature = bins.feature
    left join counted
        on
            bins.bin_no = counted.bin_no
            and weeks.period_start = counted.period_start

),

medians as (

    select
        shares.source,
        shares.feature,
        shares.period_start,
        shares.bin_no,
        max(shares.week_lines) as week_lines,
        max(shares.share) as share,
        count(*) as weeks_before,
        percentile_cont(0.5) within group (order by earlier.share) as usual_share
    from shares
    inner join shares as earlier
        on
            shares.bin_no = earlier.bin_no
            and shares.period_start > earlier.period_start
            and {{ days_between('earlier.period_start', 'shares.period_start') }}
            <= 7 * {{ policy_value('drift_recent_weeks') }}
    group by shares.source, shares.feature, shares.period_start, shares.bin_no

),

moved as (

    select
        source,
        period_start,
        feature,
        max(week_lines) as lines,
        max(weeks_before) as weeks_before,
        cast(sum(cast(abs(share - usual_share) / 2 as decimal(28, 15))) as double) as moved_share
    from medians
    group by source, period_start, feature

),

limits as (

    select max(case when severity = 'critical' then score_min end) / 100.0 as most_moved
    from {{ ref('policy_drift_severities') }}

),

final as (

    select
        moved.source,
        moved.period_start as week_start_date,
        max(moved.moved_share) as moved_share
    from moved
    cross join limits
    where
        moved.moved_share >= limits.most_moved
        and moved.weeks_before >= {{ policy_value('drift_min_recent_weeks') }}
        and moved.lines >= {{ policy_value('drift_min_lines') }}
    group by moved.source, moved.period_start

)

select * from final
