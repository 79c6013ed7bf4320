select calibration.bin, calibration.n, calibration.predicted_rate, calibration.observed_rate,
    calibration.observed_lo, calibration.observed_hi
from marts.model_calibration as calibration
inner join marts.model_cards as cards
    on calibration.source = cards.source and calibration.task = cards.task
    and calibration.model = cards.model
where calibration.source = $source and calibration.task = 'return' and cards.is_champion
order by calibration.bin
