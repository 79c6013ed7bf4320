-- What the number of clusters was chosen by, today, and how much each fit of the replay agrees with
-- the others; days without a fit with the reason.

with evidence as (

    select * from {{ ref('ml_segment_evidence') }}

),

fits as (

    select * from {{ ref('ml_segment_fits') }}

),

frozen_names as (

    select * from {{ ref('int_segment_frozen_names') }}

),

as_of_dates as (

    select * from {{ ref('int_as_of_dates') }} where is_month_end or is_current

),

sources as (

    select * from {{ ref('int_sources') }}

),

fitted as (

    select
        source,
        as_of_date,
        cast(max(cluster_id) as bigint) as cluster_count,
        max(row_count) as row_count,
        max(inertia) as inertia,
        max(moved_distance) as moved_distance,
        max(adjusted_rand_index) as adjusted_rand_index
    from fits
    group by source, as_of_date

),

compared as (

    select
        frozen_names.source,
        frozen_names.customer_id,
        frozen_names.fitted_on,
        sources.as_of_date,
        frozen_names.segment_name,
        max(
            case
                when frozen_names.fitted_on = sources.as_of_date then frozen_names.segment_name
            end
        ) over (
            partition by frozen_names.source, frozen_names.customer_id
        ) as segment_name_today
    from frozen_names
    inner join sources
        on frozen_names.source = sources.source

),

named as (

    select
        source,
        fitted_on,
        cast(sum(case when segment_name = segment_name_today then 1 else 0 end) as double)
        / count(*) as same_name_share
    from compared
    group by source, fitted_on

),

-- how many of the customers of today keep one name through this fit and all later ones
kept as (

    select
        *,
        min(case when segment_name = segment_name_today then 1 else 0 end) over (
            partition by source, customer_id
            order by fitted_on desc
            rows between unbounded preceding and current row
        ) as has_kept_name
    from compared

),

kept_names as (

    select
        source,
        fitted_on,
        cast(sum(has_kept_name) as double) / count(*) as kept_name_share
    from kept
    group by source, fitted_on

),

tried as (

    select
        sources.source,
        sources.as_of_date as known_on,
        evidence.cluster_count,
        evidence.silhouette,
        evidence.bootstrap_ari,
        evidence.min_jaccard,
        evidence.min_share,
        evidence.seeded_excess,
        evidence.inertia,
        evidence.is_chosen,
        evidence.reason
    from sources
    inner join evidence
        on sources.source = evidence.source
    -- a source without a row has no day
    where sources.as_of_date is not null

),

days as (

    select
        as_of_dates.source,
        as_of_dates.as_of_date as known_on,
        coalesce(fitted.cluster_count, 0) as cluster_count,
        fitted.row_count,
        fitted.inertia,
        fitted.moved_distance,
        fitted.adjusted_rand_index,
        fitted.source is not null as is_fitted
    from as_of_dates
    left join fitted
        on
            as_of_dates.source = fitted.source
            and as_of_dates.as_of_date = fitted.as_of_date

),

tried_days as (

    select distinct
        source,
        known_on
    from tried

),

keys as (

    select
        source,
        known_on,
        cluster_count
    from tried

    union

    select
        days.source,
        days.known_on,
        days.cluster_count
    from days
    left join tried_days
        on
            days.source = tried_days.source
            and days.known_on = tried_days.known_on
    where days.is_fitted or tried_days.source is null

),

joined as (

    select
        keys.source,
        keys.known_on,
        keys.cluster_count,
        coalesce(days.is_fitted, false) as is_used,
        days.row_count,
        coalesce(tried.inertia, days.inertia) as inertia,
        tried.silhouette,
        tried.bootstrap_ari,
        tried.min_jaccard,
        tried.min_share,
        tried.seeded_excess,
        days.moved_distance,
        days.adjusted_rand_index,
        case when days.is_fitted then named.same_name_share end as same_name_share,
        case when days.is_fitted then kept_names.kept_name_share end as kept_name_share,
        case
            when coalesce(tried.reason, '') <> '' then tried.reason
            when keys.cluster_count = 0
                then 'The look-back begins before the history, or too few customers had ordered'
        end as reason
    from keys
    left join tried
        on
            keys.source = tried.source
            and keys.known_on = tried.known_on
            and keys.cluster_count = tried.cluster_count
    left join days
        on
            keys.source = days.source
            and keys.known_on = days.known_on
            and keys.cluster_count = days.cluster_count
    left join named
        on
            keys.source = named.source
            and keys.known_on = named.fitted_on
    left join kept_names
        on
            keys.source = kept_names.source
            and keys.known_on = kept_names.fitted_on

),

final as (

    select
        joined.source,
        joined.known_on,
        joined.cluster_count,
        joined.is_used,
        joined.row_count,
        joined.inertia,
        joined.silhouette,
        joined.bootstrap_ari,
        joined.min_jaccard,
        joined.min_share,
        joined.seeded_excess,
        joined.moved_distance,
        joined.adjusted_rand_index,
        joined.same_name_share,
        joined.kept_name_share,
        joined.reason,
        sources.as_of_date
    from joined
    inner join sources
        on joined.source = sources.source

)

select * from final
