"""The tutorial's answers, from its own queries, against what the generator knows."""

import re
from collections.abc import Iterator

import duckdb
import pytest

from retour import answers
from tests.support import ROOT, Build

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
Rows = list[dict]


@pytest.fixture(scope="module")
def world(demo: Build) -> Iterator[duckdb.DuckDBPyConnection]:
    """The marts of the demo, and a schema with the truth about it."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{demo.warehouse}' as warehouse (read_only)")
        connection.execute("use warehouse")
        truth = demo.folder / "truth" / "demo"
        connection.execute(
            "create temp table lines as select * from read_parquet($files)"
            " where not is_cancelled and not is_undelivered",
            {"files": str(truth / "line_truth*.parquet")},
        )
        connection.execute(
            "create temp table true_sellers as from read_parquet($1)",
            [str(truth / "sellers.parquet")],
        )
        yield connection


def answer(world: duckdb.DuckDBPyConnection, heading: str, number: int = 0) -> Rows:
    """The rows of a query of the tutorial, by the heading that it stands under."""
    part = re.split(r"^## ", TUTORIAL.split(f"\n## {heading}")[1], flags=re.MULTILINE)[0]
    query = re.findall(r"```sql\n(.*?)```", part, re.DOTALL)[number]
    cursor = world.execute(query)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def one(world: duckdb.DuckDBPyConnection, query: str) -> tuple:
    row = world.execute(query).fetchone()
    assert row is not None
    return row


def stated(question: str) -> str:
    """What the tutorial's last table says the truth is."""
    return re.findall(rf"^\| {question} \|[^|]*\|([^|]*)\|$", TUTORIAL, re.MULTILINE)[0]


def test_every_result_that_the_tutorial_shows_is_real(world: duckdb.DuckDBPyConnection) -> None:
    assert answers.refresh(TUTORIAL, world) == TUTORIAL
    for query in re.findall(r"```sql\n(.*?)```", TUTORIAL, re.DOTALL):
        assert world.execute(query).fetchall(), query


def test_the_return_rate_of_last_month(world: duckdb.DuckDBPyConnection) -> None:
    (true,) = one(
        world,
        "select 100.0 * count(*) filter (where will_return) / count(*) from lines"
        " where ordered_at >= '2026-06-01'",
    )
    last = answer(world, "1.")[0]
    assert str(last["month"]) == "2026-06-01"
    assert last["from_pct"] <= true <= last["to_pct"]
    assert abs(last["projected_pct"] - true) < 1.5
    assert true - last["returned_so_far_pct"] > 5, "the naive answer would have done"
    assert f"{true:.1f} %" in stated("return rate of June")
    backtest = answer(world, "1.", 1)
    assert all(abs(r["projected_pct"] - r["came_pct"]) < 5 for r in backtest)


def test_the_three_sellers(world: duckdb.DuckDBPyConnection) -> None:
    rows = answer(world, "2.")
    called = [row["seller_id"] for row in rows]
    assert len(called) == 3
    worst = [
        seller
        for (seller,) in world.execute(
            "select seller_id from true_sellers order by odds_multiplier desc limit 5"
        ).fetchall()
    ]
    assert called[0] == worst[0]
    assert set(called) <= set(worst)
    odds = dict(world.execute("select seller_id, odds_multiplier from true_sellers").fetchall())
    for seller in called:
        assert odds[seller] > 1.5
        assert f"{seller} {odds[seller]:.1f}" in stated("the three sellers")
    # and why: all of them for returns beyond what their goods explain
    assert all(row["came_back"] > row["elsewhere"] for row in rows)
    reasons = {row["seller_id"] for row in answer(world, "2.", 1) if row["factor"] == "return_rate"}
    assert reasons == set(called)


def test_what_returns_cost_by_category(world: duckdb.DuckDBPyConnection) -> None:
    true = {
        category: (lines, float(refunds))
        for category, lines, refunds in world.execute(
            """
            select
                category,
                count(*) filter (where first_returned_at < '2026-07-01'),
                sum(net_amount_eur * returned_units / quantity)
                    filter (where last_returned_at < '2026-07-01')
            from lines
            where will_return
            group by category
            """
        ).fetchall()
    }
    rows = {row["category"]: row for row in answer(world, "3.")}
    known = {name: row for name, row in rows.items() if name != "unknown"}
    assert known.keys() == true.keys()
    for name, row in known.items():
        lines, refunds = true[name]
        # returns that name no sale, or none that can be found, are not in any category
        assert 0.95 * lines <= row["returned_lines"] <= 1.01 * lines, name
        assert 0.94 * refunds <= float(row["refund_amount"]) <= 1.01 * refunds, name
        assert row["at_least"] < row["cost"] < row["at_most"]
    assert next(iter(known)) == "electronics"
    assert sorted(known, key=lambda name: -float(rows[name]["refund_amount"])) == sorted(
        true, key=lambda name: -true[name][1]
    )


def test_whether_the_model_can_be_trusted(world: duckdb.DuckDBPyConnection) -> None:
    """The outcomes of the week that nobody can know yet, of the lines whose id the export holds."""
    health, drift, week, record = (answer(world, "4.", number)[0] for number in range(4))
    assert health["week"] == drift["week"] == week["week"]
    n, said, came, auc = one(
        world,
        f"""
        with scored as (
            select return_probability, will_return::int as came
            from warehouse.marts.order_return_scores as scores
            inner join lines on lines.order_line_id = scores.order_line_id
            where
                scores.is_out_of_sample
                and scores.ordered_date between date '{week["week"]}' and date '{week["week"]}' + 6
        ),

        ranked as (
            select *, rank() over (order by return_probability)
                + (count(*) over (partition by return_probability) - 1) / 2 as place
            from scored
        )

        select
            count(*),
            100 * avg(return_probability),
            100 * avg(came),
            (sum(place * came) - sum(came) * (sum(came) + 1) / 2) / sum(came) / sum(1 - came)
        from ranked
        """,
    )
    assert n > 400
    # the answer was yes, and it is right: it ranks, and what it said is what comes
    assert health["status"] == "trust"
    assert week["calibration_status"] == "as said"
    assert drift["severity"] == "none"
    assert week["from_auc"] <= auc <= week["to_auc"]
    assert abs(said - came) < 3
    assert record["as_estimated"] >= 0.8 * record["weeks_with_known_outcome"]
    assert record["passed"] == record["leak_checks"]
    truth = stated("the model, week of 22 June")
    assert f"{n} lines" in truth
    assert f"ROC-AUC {auc:.2f}, {came:.1f} % come back where {said:.1f} % was said" in truth
