select week_start, first_day, last_day, expected_units, expected_lo, expected_hi, actual_units,
    is_covered
from marts.return_forecast
where source = $source and category = 'all' and known_on = as_of_date
order by week_start
