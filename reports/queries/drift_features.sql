select features.batch, features.feature, features.psi, features.ks_statistic, features.js_distance,
    features.moved_share, features.quiet_limit,
    features.baseline_mean, features.current_mean, features.q_value, features.drift_score,
    features.severity, features.sentence
from marts.drift_features as features
where features.source = $source and features.batch = (
        select max_by(batch, batch_start) from marts.drift_batches
        where source = $source and batch_grain = 'week'
    )
order by features.drift_score desc, features.feature
limit 40
