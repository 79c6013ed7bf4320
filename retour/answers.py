"""The demo's questions: queries on the published marts, printed with their real results.

README.md carries the first one between two HTML comments; a test keeps it equal to the warehouse.
"""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb

BEGIN = "<!-- answers: printed by `make demo` -->"
END = "<!-- end of answers -->"


@dataclass(frozen=True)
class Question:
    """A question in words, and the query that answers it."""

    text: str
    sql: str


QUESTIONS = (
    Question(
        "Which categories come back, and what is left of their sales?",
        """
select
    category,
    units,
    returned_units,
    round(100 * mature_return_rate, 1) as return_rate_pct,
    gross_revenue,
    refund_amount,
    net_revenue
from marts.category_performance
where source = 'demo'
order by refund_amount desc
limit 6
""",
    ),
    Question(
        "Who brings the money, and who sends it back?",
        """
select
    rfm_segment,
    count(*) as customers,
    sum(monetary) as net_revenue,
    round(100.0 * sum(returned_quantity) / sum(quantity), 1) as return_rate_pct
from marts.customer_rfm
where source = 'demo'
group by rfm_segment
order by net_revenue desc
""",
    ),
    Question(
        "How did the last months go, by the day of the sale and by the day of the return?",
        """
select
    month,
    orders,
    gross_revenue,
    net_revenue_by_sale_date,
    net_revenue_by_event_date
from marts.kpis_monthly
where source = 'demo' and is_complete
order by month desc
limit 6
""",
    ),
)


def render(published: Path, questions: tuple[Question, ...] = QUESTIONS) -> str:
    """Every question with its query and its answer, as Markdown.

    `published` is any file that holds the schema `marts`.
    """
    with duckdb.connect(str(published), read_only=True) as connection:
        return "\n".join(render_one(connection, question) for question in questions)


def render_one(connection: duckdb.DuckDBPyConnection, question: Question) -> str:
    """One question as Markdown: a line, the query, the table of its result."""
    cursor = connection.execute(question.sql)
    names = [column[0] for column in cursor.description]
    answer = table(names, cursor.fetchall())
    return f"{question.text}\n\n```sql\n{question.sql.strip()};\n```\n\n{answer}\n"


def table(names: list[str], rows: list[tuple]) -> str:
    """A Markdown table whose columns line up, so that it also reads well in a terminal."""
    columns = []
    for name, *values in zip(names, *rows, strict=True):
        is_number = all(isinstance(value, int | float | Decimal) for value in values)
        cells = [cell(value) for value in values]
        width = max(map(len, [name, *cells]))
        rule = "-" * (width - 1) + ":" if is_number else "-" * width
        adjust = str.rjust if is_number else str.ljust
        columns.append([adjust(text, width) for text in [name, rule, *cells]])
    return "\n".join(f"| {' | '.join(line)} |" for line in zip(*columns, strict=True))


def cell(value: object) -> str:
    """A value as text: thousands with commas, money with two decimals, NULL as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return str(value)
    return f"{value:,.2f}" if isinstance(value, Decimal) else f"{value:,}"
