select importance.feature, importance.meaning, importance.importance_rank, importance.auc_loss,
    importance.auc_loss_lo, importance.auc_loss_hi, importance.auc_alone
from marts.model_feature_importance as importance
inner join marts.model_cards as cards
    on importance.source = cards.source and importance.task = cards.task
    and importance.model = cards.model
where importance.source = $source and importance.task = 'return' and cards.is_champion
order by importance.importance_rank
limit 15
