select marketplace, status, started_on, ended_on, lag_days, rate_status, recent_rate,
    reference_rate, rate_z, delivery_lag_days, sentence
from marts.return_delays
where source = $source
    and known_on = (select max(known_on) from marts.return_delays where source = $source)
order by case when marketplace = 'all' then 0 else 1 end, marketplace
