-- policy_rfm_segments: each of the 125 combinations of scores falls into exactly one segment

with scores as (

    select 1 as score
    union all
    select 2 as score
    union all
    select 3 as score
    union all
    select 4 as score
    union all
    select 5 as score

),

cells as (

    select
        recency.score as r_score,
        frequency.score as f_score,
        monetary.score as m_score
    from scores as recency
    cross join scores as frequency
    cross join scores as monetary

),

hits as (

    select
        cells.r_score,
        cells.f_score,
        cells.m_score,
        count(segments.rfm_segment) as segment_count
    from cells
    left join {{ ref('policy_rfm_segments') }} as segments
        on
            cells.r_score between segments.r_min and segments.r_max
            and cells.f_score + cells.m_score between segments.fm_min and segments.fm_max
    group by cells.r_score, cells.f_score, cells.m_score

)

select * from hits where segment_count <> 1
