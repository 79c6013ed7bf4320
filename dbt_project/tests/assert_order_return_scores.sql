-- order_return_scores: every order line has one score, of later models none was out of sample for a
-- line ordered by its day of knowledge, and what a return costs here it costs in the ledger

with return_features as (

    select * from {{ ref('return_features') }}

),

scores as (

    select * from {{ ref('order_return_scores') }}

),

line_return_costs as (

    select * from {{ ref('int_line_return_costs') }}

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

),

-- a line that came back as a whole; the ledger rounds its eight components one by one
not_the_cost as (

    select
        'not the cost of a return' as problem,
        scores.source,
        scores.order_line_id as example
    from scores
    inner join line_return_costs
        on
            scores.source = line_return_costs.source
            and scores.order_line_id = line_return_costs.order_line_id
    where
        line_return_costs.refund_amount = scores.ordered_amount
        and abs(scores.loss_if_returned - line_return_costs.return_cost_mid) > 0.0005

),

not_its_share as (

    select
        'not the probability times the cost' as problem,
        source,
        order_line_id as example
    from scores
    where
        abs(expected_cost - return_probability * loss_if_returned) > 0.0001
        or (expected_cost is null) <> (loss_if_returned is null)

)

select * from not_one_score

union all

select * from not_the_latest

union all

select * from not_the_cost

union all

select * from not_its_share
