{{ config(tags=['operations']) }}

with score_requests as (

    select * from {{ source('landing', 'score_requests') }}

),

-- a file that was copied counts once; what names no line is none
numbered as (

    select
        *,
        row_number() over (
            partition by source, request_id, line_number
            order by requested_at, order_line_id, return_probability, model_version
        ) as occurrence
    from score_requests
    where
        source is not null
        and request_id is not null
        and line_number between 1 and 100
        and return_probability between 0 and 1

),

final as (

    select
        source,
        request_id,
        line_number,
        cast(requested_at as timestamp) as requested_at,
        order_line_id,
        upper({{ clean_text('order_id') }}) as order_id,
        upper({{ clean_text('product_id') }}) as product_id,
        {{ parse_timestamp('ordered_at') }} as ordered_at,
        return_probability,
        risk_band,
        {{ parse_decimal('expected_cost') }} as expected_cost,
        recommended_action,
        {{ parse_decimal('expected_gain') }} as expected_gain,
        model_version
    from numbered
    where occurrence = 1

)

select * from final
