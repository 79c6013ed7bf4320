"""The cookbook: every query runs on the demo and returns what the question asked for."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pytest

from retour import answers, lineage
from tests.support import ROOT, Build

COOKBOOK = (ROOT / "docs" / "cookbook.md").read_text(encoding="utf-8")
Row = dict[str, Any]

RECIPES = [
    (int(number), title, query)
    for number, title, body in re.findall(
        r"^### (\d+)\. ([^\n]+)\n(.*?)(?=^##|\Z)", COOKBOOK, re.MULTILINE | re.DOTALL
    )
    for query in re.findall(r"```sql\n(.*?)```", body, re.DOTALL)
]


@pytest.fixture(scope="module")
def analyst(demo: Build, marts: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """What an analyst sees: schema marts alone, with the lineage that `retour build` adds."""
    edges = lineage.edges(marts, lineage.models(demo.manifest), lineage.warehouse_columns(marts))
    with duckdb.connect() as connection:
        connection.execute(f"attach '{demo.warehouse}' as warehouse (read_only)")
        connection.execute("create schema marts")
        for (name,) in connection.execute(
            "select table_name from duckdb_tables() where database_name = 'warehouse'"
            " and schema_name = 'marts' and table_name <> 'column_lineage'"
        ).fetchall():
            connection.execute(f"create view marts.{name} as from warehouse.marts.{name}")
        connection.execute(
            "create table marts.column_lineage as"
            " select unnest(from_json($1::varchar, $2), recursive := true)",
            [*lineage.as_json(edges)],
        )
        yield connection


def ask(connection: duckdb.DuckDBPyConnection, query: str) -> list[Row]:
    """The rows of a query by column name."""
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def falling(rows: list[Row], *columns: str) -> bool:
    """Whether rows come in falling order."""
    found = [tuple(row[column] for column in columns) for row in rows]
    return found == sorted(found, reverse=True)


def same_everywhere(rows: list[Row], column: str) -> bool:
    return len({row[column] for row in rows}) == 1


# what a right answer looks like; a question may have several queries, the claim is about the first
CLAIMS: dict[int, Callable[[list[Row]], bool]] = {
    1: lambda rows: (
        len(rows) == 6
        and falling(rows, "month")
        and all(r["gross_revenue"] - r["refunds_of_these_sales"] == r["net_revenue"] for r in rows)
    ),
    2: lambda rows: (
        rows[0]["so_far_pct"] < rows[0]["from_pct"] <= rows[0]["projected_pct"] <= rows[0]["to_pct"]
        and rows[0]["maturity_pct"] < 90 < rows[1]["maturity_pct"] <= rows[2]["maturity_pct"]
    ),
    3: lambda rows: (
        [r["pct_of_returns"] for r in rows] == [10, 50, 90, 99]
        # the generator: half within 12 days, 99.5 % within 45
        and 9 <= rows[1]["days_after_order"] <= 15
        and 30 <= rows[3]["days_after_order"] <= 50
    ),
    4: lambda rows: (
        {r["marketplace"] for r in rows} == {"agora", "all", "bazaar", "corner"}
        and all(r["sentence"] for r in rows)
    ),
    5: lambda rows: (
        {r["driver"] for r in rows} <= {"volume", "mix", "rate", "timing", "residual"}
        and [abs(r["contribution"]) for r in rows]
        == sorted((abs(r["contribution"]) for r in rows), reverse=True)
    ),
    6: lambda rows: (
        falling(rows, "cost")
        and {"electronics", "shoes", "dresses"} <= {r["category"] for r in rows}
        and all(r["return_cost_low"] <= r["cost"] <= r["return_cost_high"] for r in rows)
    ),
    7: lambda rows: (
        rows[0]["currency"] == "all"
        and all(r["liability_lo"] <= r["liability_amount"] <= r["liability_hi"] for r in rows)
        and sum(r["liability_amount"] for r in rows[1:]) == rows[0]["liability_amount"]
    ),
    8: lambda rows: (
        len(rows) >= 4 and all(r["expected_units"] >= r["from_what_is_sold"] for r in rows)
    ),
    9: lambda rows: all(r["observed"] <= r["lines"] for r in rows) and len(rows) == 10,
    10: lambda rows: (
        len({r["seller_id"] for r in rows}) == 3
        and falling(rows, "at_least", "points")
        and all(r["sentence"] for r in rows)
    ),
    11: lambda rows: all(r["sentence"] and r["money_at_risk"] > 0 for r in rows),
    12: lambda rows: (
        {(r["marketplace"], r["window_days"]) for r in rows}
        == {(name, days) for name in ("agora", "bazaar", "corner") for days in (7, 30, 90)}
        and all(r["health"] is None or 0 <= r["health"] <= 100 for r in rows)
        and rows[-1]["health"] is not None
    ),
    13: lambda rows: (
        {"VIP", "Loyal", "Regular", "At Risk", "Low Value"} <= {r["customer_group"] for r in rows}
        and abs(sum(r["revenue_share_pct"] for r in rows) - 100) < 1
    ),
    14: lambda rows: (
        falling(rows, "clv_after_returns") and all(r["churn_probability"] >= 0.5 for r in rows)
    ),
    15: lambda rows: (
        rows[0]["month_1_pct"] > rows[0]["month_6_pct"] and rows[-1]["month_1_pct"] is None
    ),
    16: lambda rows: (
        len(rows) == 10 and all(r["from_pct"] <= r["share_pct"] <= r["to_pct"] for r in rows)
    ),
    17: lambda rows: len(rows) == 10 and all(r["sentence"] for r in rows),
    18: lambda rows: (
        {"never", "always"} < {r["rule"] for r in rows}
        and rows[0]["gain_lo"] > 0
        and same_everywhere(rows, "lines")
    ),
    19: lambda rows: (
        len(rows) == 1
        and rows[0]["status"] in ("trust", "watch", "do not trust", "too early")
        and rows[0]["sentence"]
    ),
    20: lambda rows: len(rows) == 6 and all(r["rows_difference"] == 0 for r in rows),
    21: lambda rows: all(r["reason"] for r in rows),
    22: lambda rows: {"net_revenue", "return_rate"} <= {r["metric"] for r in rows},
}


@pytest.mark.parametrize(
    ("number", "query"),
    [(number, query) for number, _, query in RECIPES],
    ids=[f"{number}-{title[:40]}" for number, title, _ in RECIPES],
)
def test_every_query_of_the_cookbook_answers(
    analyst: duckdb.DuckDBPyConnection, number: int, query: str
) -> None:
    rows = ask(analyst, query)
    assert rows
    if query == next(first for n, _, first in RECIPES if n == number):
        assert CLAIMS[number](rows), rows[:5]


def test_there_are_at_least_twenty_questions_in_order_each_with_a_claim() -> None:
    numbers = list(dict.fromkeys(number for number, _, _ in RECIPES))
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 20
    assert set(CLAIMS) == set(numbers)


def test_the_lineage_recipe_leads_from_a_kpi_to_the_raw_columns(
    analyst: duckdb.DuckDBPyConnection,
) -> None:
    rows = ask(analyst, RECIPES[-1][2])
    sources = {source for row in rows for source in row["sources"].split(", ")}
    assert {
        "raw.canonical__order_lines.unit_price",
        "raw.canonical__returns.refund_amount",
        "marts.kpis_daily.gross_revenue",
    } <= sources


def test_queries_read_marts_only() -> None:
    for _, title, query in RECIPES:
        assert set(re.findall(r"(?:from|join) (\w+)\.\w+", query)) <= {"marts"}, title


def test_results_that_the_page_shows_are_real(analyst: duckdb.DuckDBPyConnection) -> None:
    assert answers.refresh(COOKBOOK, analyst) == COOKBOOK
    assert COOKBOOK.count("| ---") >= 3
