select driver, member, contribution, currency, current_period, base_period, base_value,
    current_value, total_change, sentence
from marts.return_change
where source = $source and comparison = 'month_before' and is_latest and measure = 'amount'
    and dimension = 'category'
order by driver, abs(contribution) desc, member
