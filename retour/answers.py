"""The demo's questions: queries on the published marts, printed with their real results.

README.md carries the first one between two HTML comments; a test keeps it equal to the warehouse.
"""

from dataclasses import dataclass
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
        "Which categories come back, and what does it cost?",
        """
select
    category,
    line_count,
    return_rate,
    net_amount,
    refund_amount,
    kept_amount
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
    round(avg(monetary), 2) as average_spend,
    round(avg(return_rate), 3) as average_return_rate
from marts.customer_rfm
where source = 'demo'
group by rfm_segment
order by average_spend desc
""",
    ),
    Question(
        "How did the last six months go, by the day of sale and by the day of the return?",
        """
select
    month,
    orders,
    net_revenue_by_sale_date,
    net_revenue_by_event_date,
    return_rate
from marts.kpis_monthly
where source = 'demo'
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
    rows = [[cell(value) for value in row] for row in cursor.fetchall()]
    return f"{question.text}\n\n```sql\n{question.sql.strip()};\n```\n\n{table(names, rows)}\n"


def table(names: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns, so that it also reads well in a terminal."""
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    lines = [names, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)


def cell(value: object) -> str:
    """A value as text: thousands with commas, floats without their last digits."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{value:,}" if hasattr(value, "quantize") else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
