select factors.seller_id, factors.factor, factors.factor_value, factors.peer_value, factors.lo,
    factors.hi, factors.threshold, factors.weight, factors.points, factors.risk_score,
    factors.sentence
from marts.seller_risk_factors as factors
inner join reports.rpt_members as members
    on factors.source = members.source and members.dimension = 'seller'
    and factors.seller_id = members.member_id and members.member_key > 0
where factors.source = $source
order by factors.seller_id, factors.weight desc, factors.factor
