{{ config(tags=['operations']) }}

with deliveries as (

    select * from {{ source('landing', 'alert_deliveries') }}

),

final as (

    select
        source,
        delivery_id,
        alert_id,
        severity,
        severity_rank,
        target,
        status,
        attempts,
        message,
        cast(attempted_at as timestamp) as attempted_at
    from deliveries

)

select * from final
