select batch, batch_grain, batch_start, batch_end, lines, drift_score, severity, top_feature,
    moved_features, compared_features, p_value, q_value, return_rate, baseline_return_rate,
    average_discount, baseline_average_discount, delivery_days, baseline_delivery_days, sentence,
    recommendation, estimated_cost
from marts.drift_batches
where source = $source and batch_grain <> 'day'
order by batch_grain, batch_start, batch
