-- order_return_scores: every order line has one score, and of later models none was out of sample
-- for a line ordered by its day of knowledge

with return_features as (

    select * from {{ ref('return_features') }}

),

scores as (

    select * from {{ ref('order_return_scores') }}

),

versions as (

    select distinct
        source,
        model_version,
        trained_on
    from {{ ref('model_bins') }}

),

not_one_score as (

    select
        'not one score per order line' as problem,
        return_features.source,
        return_features.order_line_id as example
    from return_features
    left join scores
        on
            return_features.source = scores.source
            and return_features.order_line_id = scores.order_line_id
    group by return_features.source, return_features.order_line_id
    having count(*) <> 1 or count(scores.order_line_id) <> 1

),

not_the_latest as (

    select
        'not the latest model before the order' as problem,
        scores.source,
        scores.order_line_id as example
    from scores
    inner join return_features
        on
            scores.source = return_features.source
            and scores.order_line_id = return_features.order_line_id
    inner join versions
        on scores.source = versions.source
    where return_features.ordered_date > versions.trained_on
    group by scores.source, scores.order_line_id, scores.model_version, scores.is_out_of_sample
    having
        max(versions.trained_on)
        <> max(case when versions.model_version = scores.model_version then versions.trained_on end)
        or not scores.is_out_of_sample

)

select * from not_one_score

union all

select * from not_the_latest
