select country, customers, high_returners, high_returner_share, share_lo, share_hi, source_share,
    evidence
from marts.high_returners_by_country
where source = $source
order by high_returner_share desc, country
limit 25
