-- the age in days at which half and nine tenths of the returns of a category have come
select stratum_1 as category, max(stratum_return_count) as returns,
    min(case when completion >= 0.5 then age_days end) as half_days,
    min(case when completion >= 0.9 then age_days end) as most_days
from marts.return_completion_curve
where source = $source and stratum_level = 1
group by stratum_1
order by most_days, category
limit 25
