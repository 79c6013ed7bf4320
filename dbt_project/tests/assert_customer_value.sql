-- customer_value: every customer who kept something has a value where there is a model, and value
-- is purchases times margin

with customer_values as (

    select * from {{ ref('customer_value') }}

),

customers as (

    select * from {{ ref('int_customer_histories') }} where is_current

),

champions as (

    select * from {{ ref('model_runs') }} where task = 'value' and is_champion

),

duplicated_keys as (

    select
        'one row per source and customer_id' as claim,
        source,
        customer_id as example
    from customer_values
    group by source, customer_id
    having count(*) > 1

),

unvalued as (

    select
        'every customer has a value where there is a model' as claim,
        customers.source,
        customers.customer_id as example
    from customers
    inner join champions
        on customers.source = champions.source
    left join customer_values
        on
            customers.source = customer_values.source
            and customers.customer_id = customer_values.customer_id
    where customer_values.clv_after_returns is null or customer_values.clv_before_returns is null

),

-- the margin is rounded to four decimals
unequal_products as (

    select
        'value is discounted purchases times margin' as claim,
        source,
        customer_id as example
    from customer_values
    where
        abs(
            cast(clv_after_returns as double)
            - discounted_purchases * cast(margin_after_returns as double)
        ) > 0.0001 * (1 + discounted_purchases)

),

final as (

    select * from duplicated_keys

    union all

    select * from unvalued

    union all

    select * from unequal_products

)

select * from final
