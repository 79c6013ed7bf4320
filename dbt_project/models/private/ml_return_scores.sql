-- What the model that was in use when a line was ordered says of it: a view, whose SQL is written
-- when the models are known, so that nothing is kept between features and what to do about them.
-- Only order_return_scores reads it: whoever else did would score again.

{{ config(materialized='view') }}

with return_features as (

    select * from {{ ref('return_features') }}

),

-- read by the SQL of models that are no table
rival_margins as ( -- noqa: ST03

    select
        source,
        order_line_id,
        margin
    from {{ ref('ml_return_scorers') }}
    where order_line_id is not null

),

final as (

    {{ scoring_queries(ref('ml_return_scorers')) }}

)

select * from final
