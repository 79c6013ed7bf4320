-- who bought in the look-back of the churn model; at risk as in customer_segments_business
select churn.segment_name, count(*) as customers,
    count(case when churn.is_active then 1 end) as active_customers,
    avg(churn.churn_probability) as churn_probability,
    avg(case when churn.is_active then churn.churn_probability end) as active_churn_probability,
    count(case when business.is_at_risk then 1 end) as at_risk,
    max(churn.horizon_days) as horizon_days,
    sum(value.clv_before_returns) as clv_before_returns,
    sum(value.clv_after_returns) as clv_after_returns,
    max(value.currency) as currency, max(value.horizon_months) as horizon_months
from marts.customer_churn as churn
left join marts.customer_value as value
    on churn.source = value.source and churn.customer_id = value.customer_id
left join marts.customer_segments_business as business
    on churn.source = business.source and churn.customer_id = business.customer_id
where churn.source = $source
group by churn.segment_name
order by customers desc, churn.segment_name
