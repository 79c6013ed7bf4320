{{ config(materialized='view') }}

-- Those of known outcome: the return window is over. What scores are judged by.

with final as (

    select
        source,
        order_line_id,
        model_version,
        trained_on,
        ordered_date,
        known_on,
        log_odds,
        return_probability,
        came_back,
        seller_id,
        marketplace,
        category,
        segment_name,
        as_of_date
    from {{ ref('int_score_outcomes') }}
    where is_known

)

select * from final
