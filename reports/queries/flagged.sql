select order_id, ordered_date, reason, order_lines, highest_probability, expected_returned_lines,
    ordered_amount, expected_cost, recommended_action, expected_gain, sentence
from marts.flagged_orders
where source = $source and is_actionable
order by money_rank
limit 100
