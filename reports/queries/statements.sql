select section, statement_rank, topic, severity, headline, sentence, amount, currency, page,
    entity_type, entity_id
from reports.rpt_statements
where source = $source
order by section, statement_rank
