select known_on, previously_known_on, from_segment, to_segment, customers, from_customers, share
from marts.segment_migrations
where source = $source
    and known_on = (select max(known_on) from marts.segment_migrations where source = $source)
order by from_segment, to_segment
