-- Lines that were scored by a model which had not seen them, and what has become of them so far.

{% set window_days = var('return_window_days') | int -%}

with scores as (

    select
        source,
        order_line_id,
        model_version,
        log_odds,
        return_probability
    from {{ ref('order_return_scores') }}
    where is_out_of_sample

),

-- as in training: delivered or on its way
order_lines as (

    select
        *,
        {{ days_between('ordered_date', 'as_of_date') }} >= {{ window_days }} as is_known,
        case
            when
                is_returned
                and coalesce(
                    {{ days_between('ordered_date', 'first_returned_at') }} <= {{ window_days }},
                    true
                )
                then 1
            else 0
        end as came_back
    from {{ ref('order_lines') }}
    where
        return_class in ('kept', 'returned', 'open')
        and is_returned is not null

),

-- the segment that the customer had at the end of the month before the order
segments as (

    select
        assignments.source,
        assignments.customer_id,
        {{ month_start(dbt.dateadd('day', 1, 'assignments.as_of_date')) }} as month_start,
        clusters.segment_name
    from {{ ref('int_segment_assignments') }} as assignments
    inner join {{ ref('int_segment_clusters') }} as clusters
        on
            assignments.source = clusters.source
            and assignments.as_of_date = clusters.as_of_date
            and assignments.cluster_id = clusters.cluster_id
    where extract(day from {{ dbt.dateadd('day', 1, 'assignments.as_of_date') }}) = 1

),

final as (

    select
        order_lines.source,
        order_lines.order_line_id,
        scores.model_version,
        cast(substr(scores.model_version, length(scores.model_version) - 9) as date) as trained_on,
        order_lines.ordered_date,
        cast({{ dbt.dateadd('day', window_days, 'order_lines.ordered_date') }} as date) as known_on,
        scores.log_odds,
        scores.return_probability,
        order_lines.is_known,
        cast(order_lines.came_back as bigint) as came_back,
        cast(order_lines.maturity as double) as maturity,
        cast(order_lines.maturity_se as double) as maturity_se,
        order_lines.seller_id,
        order_lines.marketplace,
        order_lines.category,
        case
            when order_lines.customer_id is null then '(guest)'
            else coalesce(segments.segment_name, '(no segment yet)')
        end as segment_name,
        order_lines.as_of_date
    from order_lines
    inner join scores
        on
            order_lines.source = scores.source
            and order_lines.order_line_id = scores.order_line_id
    left join segments
        on
            order_lines.source = segments.source
            and order_lines.customer_id = segments.customer_id
            and {{ month_start('order_lines.ordered_date') }} = segments.month_start

)

select * from final
