select confusion.threshold, confusion.true_positives, confusion.false_positives,
    confusion.true_negatives, confusion.false_negatives, confusion.n
from marts.model_confusion as confusion
inner join marts.model_cards as cards
    on confusion.source = cards.source and confusion.task = cards.task
    and confusion.model = cards.model
where confusion.source = $source and confusion.task = 'return' and confusion.entity_type = 'all'
    and cards.is_champion
order by confusion.threshold
