"""The demo's questions: queries on the published marts, printed with their real results.

README.md carries the first one between two HTML comments; a test keeps it equal to the warehouse.
Pages of docs/ show results below their queries in the same form; `python -m retour.answers PAGE …`
writes them anew from the published file.
"""

import re
import sys
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
        "What are the return rates of the last months, once their returns have come?",
        """
select
    period_start as month,
    denominator::int as lines,
    numerator::int as returned_so_far,
    round(100 * observed_rate, 1) as so_far_pct,
    round(100 * maturity, 1) as maturity_pct,
    round(100 * projected_rate, 1) as projected_pct,
    round(100 * projected_lo, 1) || ' to ' || round(100 * projected_hi, 1) as interval_pct
from marts.return_rates
where source = 'demo'
    and entity_type = 'all' and period_grain = 'month' and basis = 'sale' and unit = 'lines'
order by month desc
limit 4
""",
    ),
    Question(
        "What changed in the returns of last month, in money?",
        """
select
    driver,
    contribution::decimal(18, 2) as change,
    sentence
from marts.return_change
where source = 'demo'
    and comparison = 'month_before' and is_latest
    and measure = 'amount' and dimension = 'category' and driver <> 'residual'
order by abs(contribution) desc
limit 4
""",
    ),
    Question(
        "What do returns cost by category, beside the refunds?",
        """
select
    entity_id as category,
    returned_lines,
    return_cost_mid as cost,
    cost_per_returned_line as per_line,
    gross_margin_before_returns as margin_before,
    net_margin_after_returns as margin_after
from marts.return_costs
where source = 'demo' and entity_type = 'category'
order by cost desc
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
        known = [value for value in values if value is not None]
        is_number = all(isinstance(value, int | float | Decimal) for value in known or [""])
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


# a query, and the table of its result below it, if the page shows one
SHOWN = re.compile(r"(```sql\n(?P<query>[^`]+)```\n\n)(?P<table>(?:\|.*\n)+)")


def refresh(page: str, connection: duckdb.DuckDBPyConnection) -> str:
    """A page with the table below each query replaced by the query's real result."""

    def real(match: re.Match[str]) -> str:
        cursor = connection.execute(match["query"])
        names = [column[0] for column in cursor.description]
        return f"{match[1]}{table(names, cursor.fetchall())}\n"

    return SHOWN.sub(real, page)


if __name__ == "__main__":
    with duckdb.connect("data/published/retour.duckdb", read_only=True) as published:
        for name in sys.argv[1:]:
            Path(name).write_text(refresh(Path(name).read_text(), published))
