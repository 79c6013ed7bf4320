-- Every usable rating with the customer, product and seller it is about: as the review names them,
-- else as the order line does that it names.

with reviews as (

    select * from {{ ref('stg_canonical__reviews') }} where reject_reasons is null

),

sources as (

    select * from {{ ref('int_sources') }}

),

guest_ids as (

    select * from {{ ref('policy_guest_ids') }}

),

-- equal reviews in one file are told apart by their number, so that overlapping files count once
counted as (

    select
        source,
        file,
        order_line_id,
        order_id,
        product_id,
        customer_id,
        seller_id,
        rating,
        reviewed_at,
        count(*) as occurrences
    from reviews
    group by
        source,
        file,
        order_line_id,
        order_id,
        product_id,
        customer_id,
        seller_id,
        rating,
        reviewed_at

),

distinct_reviews as (

    select
        source,
        order_line_id,
        order_id,
        product_id,
        customer_id,
        seller_id,
        rating,
        reviewed_at,
        max(occurrences) as occurrences
    from counted
    group by
        source,
        order_line_id,
        order_id,
        product_id,
        customer_id,
        seller_id,
        rating,
        reviewed_at

),

timely as (

    select
        distinct_reviews.*,
        cast(distinct_reviews.reviewed_at as date) as reviewed_date,
        case when guest_ids.guest_id is null then distinct_reviews.customer_id end
            as known_customer_id,
        sources.as_of_date,
        row_number() over (
            order by
                distinct_reviews.reviewed_at,
                distinct_reviews.source,
                distinct_reviews.order_line_id,
                distinct_reviews.order_id,
                distinct_reviews.product_id,
                distinct_reviews.customer_id,
                distinct_reviews.seller_id,
                distinct_reviews.rating
        ) as review_no
    from distinct_reviews
    inner join sources
        on
            distinct_reviews.source = sources.source
            and cast(distinct_reviews.reviewed_at as date)
            between sources.first_event_date and sources.as_of_date
    left join guest_ids
        on lower(distinct_reviews.customer_id) = guest_ids.guest_id

),

named_lines as (

    select
        timely.review_no,
        timely.reviewed_date,
        timely.product_id as named_product_id,
        order_lines.customer_id,
        order_lines.product_id,
        order_lines.seller_id,
        order_lines.ordered_date
    from timely
    inner join {{ ref('order_lines') }} as order_lines
        on
            timely.source = order_lines.source
            and timely.order_line_id = order_lines.order_line_id

    union all

    select
        timely.review_no,
        timely.reviewed_date,
        timely.product_id as named_product_id,
        order_lines.customer_id,
        order_lines.product_id,
        order_lines.seller_id,
        order_lines.ordered_date
    from timely
    inner join {{ ref('order_lines') }} as order_lines
        on
            timely.source = order_lines.source
            and timely.order_id = order_lines.order_id
            and timely.order_line_id is null

),

-- what is rated was bought before, so a line that is younger than the review is not the one meant;
-- of an order only what its lines agree on is known
agreed as (

    select
        review_no,
        case when min(customer_id) = max(customer_id) then max(customer_id) end as customer_id,
        case when min(product_id) = max(product_id) then max(product_id) end as product_id,
        case when min(seller_id) = max(seller_id) then max(seller_id) end as seller_id
    from named_lines
    where
        reviewed_date >= ordered_date
        and (named_product_id is null or named_product_id = product_id)
    group by review_no

),

resolved as (

    select
        timely.source,
        timely.order_line_id,
        timely.order_id,
        coalesce(timely.known_customer_id, agreed.customer_id) as customer_id,
        coalesce(timely.product_id, agreed.product_id) as product_id,
        coalesce(timely.seller_id, agreed.seller_id) as seller_id,
        timely.rating,
        timely.reviewed_at,
        timely.reviewed_date,
        timely.as_of_date,
        {{ each_number(0, 'timely.occurrences') }} as occurrence
    from timely
    left join agreed
        on timely.review_no = agreed.review_no

),

final as (

    select
        source,
        order_line_id,
        order_id,
        customer_id,
        product_id,
        seller_id,
        rating,
        reviewed_at,
        reviewed_date,
        as_of_date
    from resolved

)

select * from final
