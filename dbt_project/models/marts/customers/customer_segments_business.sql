with customer_segments as (

    select * from {{ ref('customer_segments') }}

),

segment_names as (

    select * from {{ ref('policy_segment_names') }}

),

customers as (

    select * from {{ ref('customers') }}

),

customer_churn as (

    select * from {{ ref('customer_churn') }}

),

return_costs as (

    select * from {{ ref('return_costs') }} where entity_type = 'customer'

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        customer_segments.source,
        customer_segments.customer_id,
        segment_names.business_name as segment,
        segment_names.meaning,
        segment_names.suggested_action,
        customer_segments.segment_name = 'VIP Whales' as is_whale,
        customer_segments.segment_name = 'Steady' as is_steady,
        customer_segments.segment_name = 'New/Occasional' as is_new_or_occasional,
        customer_segments.segment_name = 'High Returners' as is_high_returner,
        customer_segments.segment_name = 'Churned/Inactive' as is_inactive,
        coalesce(
            customer_churn.is_active
            and 100 * customer_churn.churn_probability
            >= {{ policy_value('churn_threshold_percent') }},
            false
        ) as is_at_risk,
        customer_churn.churn_probability,
        customers.country,
        cast(customers.first_ordered_at as date) as first_order,
        cast(customers.last_ordered_at as date) as last_order,
        customer_segments.recency_days as days_since_last_kept_order,
        customers.order_count as orders,
        sources.reporting_currency as currency,
        customers.net_amount as bought_amount,
        customers.refund_amount as returned_amount,
        customers.kept_amount,
        return_costs.return_cost_mid as return_cost,
        return_costs.net_margin_after_returns,
        customers.returned_line_count as returned_lines,
        customers.line_count as bought_lines,
        cast(customers.returned_line_count as double) / nullif(customers.line_count, 0)
            as share_of_lines_returned,
        customer_segments.as_of_date
    from customer_segments
    inner join segment_names
        on customer_segments.segment_name = segment_names.segment_name
    inner join customers
        on
            customer_segments.source = customers.source
            and customer_segments.customer_id = customers.customer_id
    inner join sources
        on customer_segments.source = sources.source
    left join customer_churn
        on
            customer_segments.source = customer_churn.source
            and customer_segments.customer_id = customer_churn.customer_id
    left join return_costs
        on
            customer_segments.source = return_costs.source
            and customer_segments.customer_id = return_costs.entity_id

)

select * from final
