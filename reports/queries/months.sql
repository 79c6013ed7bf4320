select rates.entity_type, rates.entity_id, rates.period_start as month,
    rates.denominator as lines, rates.numerator as returned_lines, rates.observed_rate,
    rates.projected_rate, rates.projected_lo, rates.projected_hi, rates.maturity
from marts.return_rates as rates
left join reports.rpt_members as members
    on rates.source = members.source and rates.entity_type = members.dimension
    and rates.entity_id = members.member_id and members.member_key > 0
where rates.source = $source and rates.period_grain = 'month' and rates.basis = 'sale'
    and rates.unit = 'lines'
    and (rates.entity_type = 'all' or members.member_key is not null)
order by rates.entity_type, rates.entity_id, rates.period_start
