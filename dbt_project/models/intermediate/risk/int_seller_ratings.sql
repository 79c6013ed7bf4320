-- Ratings per seller in the window of the factors. A review that names no seller is of the seller
-- of the line it names; one that names neither is nobody's.

with reviews as (

    select * from {{ ref('stg_canonical__reviews') }} where reject_reasons is null

),

order_lines as (

    select * from {{ ref('order_lines') }} where seller_id is not null

),

sources as (

    select * from {{ ref('int_sources') }}

),

attributed as (

    select
        source,
        seller_id,
        rating,
        reviewed_at
    from reviews
    where seller_id is not null

    union all

    select
        reviews.source,
        order_lines.seller_id,
        reviews.rating,
        reviews.reviewed_at
    from reviews
    inner join order_lines
        on
            reviews.source = order_lines.source
            and reviews.order_line_id = order_lines.order_line_id
    where reviews.seller_id is null

),

final as (

    select
        attributed.source,
        attributed.seller_id,
        count(*) as ratings,
        sum(attributed.rating) as rating_sum,
        sum(attributed.rating * attributed.rating) as rating_squares
    from attributed
    inner join sources
        on attributed.source = sources.source
    where
        {{ days_between('attributed.reviewed_at', 'sources.as_of_date') }}
        between 0 and {{ policy_value('risk_factor_window_days') }} - 1
    group by attributed.source, attributed.seller_id

)

select * from final
