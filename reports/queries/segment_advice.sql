-- with the names that segment_profiles has for the same segments; customer_value is shown below
select case segment when 'Whales' then 'VIP Whales' when 'Steady customers' then 'Steady'
        when 'New and occasional' then 'New/Occasional' when 'High returners' then 'High Returners'
        when 'Inactive' then 'Churned/Inactive' else segment end as segment,
    meaning, replace(suggested_action, 'see customer_value', 'see their value below') as suggested_action,
    count(*) as customers,
    count(case when is_at_risk then 1 end) as at_risk,
    sum(case when is_at_risk then kept_amount end) as kept_amount_at_risk,
    max(currency) as currency
from marts.customer_segments_business
where source = $source
group by segment, meaning, suggested_action
order by customers desc, segment
