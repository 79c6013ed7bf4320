"""Alerts about data and model: found in the known weeks of the demo, recomputed by hand, and raised
by a model that is made to be wrong."""

import datetime as dt
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy import stats

from tests.support import Build, run_dbt

Connection = duckdb.DuckDBPyConnection

WEEK = "datediff('day', date '1900-01-01', {}::date) // 7"


def sunday(week: int) -> dt.date:
    return dt.date(1900, 1, 1) + dt.timedelta(days=7 * week + 6)


def test_flash_sale_and_supply_crisis_are_alerts_of_the_week_they_start_and_nothing_else_is(
    marts: Connection, demo: Build
) -> None:
    crises = duckdb.sql(
        f"select kind, starts_on from read_parquet('{demo.folder}/truth/demo/incidents.parquet')"
    ).fetchall()
    starts = sorted(
        start + dt.timedelta(days=6 - start.weekday())
        for kind, start in crises
        if kind in ("flash_sale", "supply_crisis")
    )
    assert len(starts) == 2
    found = marts.execute(
        "select first_seen_at, severity, sentence from marts.alerts where monitor = 'drift'"
        " and source = 'demo' order by first_seen_at"
    ).fetchall()
    assert [row[0] for row in found] == starts
    # late deliveries open the second one; in its last week come the ratings that they brought
    assert [row[1] for row in found] == ["critical", "serious"]
    assert "average discount" in found[0][2] and "average rating" in found[1][2]
    worst = marts.execute(
        "select max(drift_score), any_value(top_feature) from marts.drift_batches"
        " where batch_end = ? and batch_grain = 'week'",
        [starts[1]],
    ).fetchall()
    assert worst[0][0] > 33 and worst[0][1] == "late_delivery"
    # what was delivered late comes back late, in the weeks after; else nothing of monitoring
    others = marts.execute(
        "select monitor, first_seen_at from marts.alerts where source = 'demo'"
        " and monitor in ('labels', 'calibration', 'ranking')"
    ).fetchall()
    assert others
    for monitor, first_seen in others:
        assert monitor == "labels"
        assert starts[1] <= first_seen <= starts[1] + dt.timedelta(days=45)


def test_monitoring_alerts_have_a_budget_of_their_own_and_come_first(marts: Connection) -> None:
    rows = marts.execute(
        """
        select monitor, status, parent_alert_id is null, is_in_budget, alert_rank
        from marts.alerts where source = 'demo' and status in ('new', 'open')
        order by parent_alert_id is not null, alert_rank
        """
    ).fetchall()
    alone = [row for row in rows if row[2]]
    is_monitoring = [row[0] not in ("risk", "jumps") for row in alone]
    assert is_monitoring == sorted(is_monitoring, reverse=True)


def test_the_pace_of_returns_by_hand(marts: Connection) -> None:
    """Chain ladder of one week, from the returns of each line: what was due of begun sales."""
    week = 6584
    came: dict[tuple[int, int], int] = Counter()
    for sold, back, count in marts.execute(
        f"""
        select {WEEK.format("ordered_date")}, {WEEK.format("returned_date")}, sum(return_count)
        from intermediate.int_return_cells
        where source = 'demo' and days_to_return <= 60
        group by all
        """
    ).fetchall():
        if back <= week:
            came[sold, back - sold] += int(count)
    cohorts = {sold for sold, _ in came}

    def before(sold: int, age: int) -> int:
        return sum(came[sold, earlier] for earlier in range(age))

    def due_of(now: int) -> tuple[float, float, float]:
        growth = {}
        for age in range(10):
            pairs = [
                (came[then - age, age], before(then - age, age))
                for then in range(now - 26, now)
                if then - age in cohorts
            ]
            total = sum(pair[1] for pair in pairs)
            growth[age] = sum(pair[0] for pair in pairs) / total if total else 0.0
        begun = [
            age
            for age in range(1, 10)
            if np.prod([1 + growth[later] for later in range(age, 10)]) <= 2
        ]
        due = sum(before(now - age, age) * growth[age] for age in begun)
        variance = sum(before(now - age, age) * growth[age] * (1 + growth[age]) for age in begun)
        return sum(came[now - age, age] for age in begun), due, variance

    def deviate_of(now: int) -> float:
        """Of square roots, of which a count's standard deviation is a half."""
        then_came, then_due, then_variance = due_of(now)
        return 2 * (np.sqrt(then_came) - np.sqrt(then_due)) / np.sqrt(then_variance / then_due)

    observed, due, variance = due_of(week)
    squares = [deviate_of(earlier) ** 2 for earlier in range(week - 26, week)]
    dispersion = max(1, np.median(squares) / 0.4549)
    error = np.sqrt(variance * dispersion) / due
    found = marts.execute(
        "select observed, expected, effect, effect_lo, p_value"
        " from intermediate.int_alert_candidates_labels"
        " where source = 'demo' and entity_type = 'source' and week_no = ?",
        [week],
    ).fetchone()
    distance = abs(observed / due - 1)
    assert found[:4] == pytest.approx(
        (observed, due, 1 + distance, 1 + max(0, distance - 1.96 * error)), rel=1e-5
    )
    # Student's t with as many degrees as the squares are worth whose median is the spread
    exact = 2 * stats.t.sf(abs(deviate_of(week)) / np.sqrt(dispersion), 0.37 * len(squares))
    assert found[4] == pytest.approx(exact, rel=0.03)


def test_calibration_by_hand(marts: Connection) -> None:
    """What came back in four weeks of lines scored before, and what scores said, line by line."""
    week = 6592
    lines = marts.execute(
        f"""
        select {WEEK.format("scores.ordered_date")}, return_probability,
            case when return_count > 0
                and datediff('day', lines.ordered_date, first_returned_at::date) <= 60
                then {WEEK.format("first_returned_at")} end
        from marts.order_return_scores as scores
        inner join marts.order_lines as lines using (source, order_line_id)
        where is_out_of_sample and source = 'demo'
            and return_class not in ('unknown', 'undelivered')
            and (is_sale
                or {WEEK.format("cancelled_at")} > {WEEK.format("lines.ordered_date")})
        """
    ).fetchall()
    cells = marts.execute(
        f"""
        select {WEEK.format("ordered_date")}, {WEEK.format("returned_date")}, sum(return_count)
        from intermediate.int_return_cells
        where source = 'demo' and days_to_return <= 60 group by all
        """
    ).fetchall()
    observed, expected = 0, 0.0
    for now in range(week - 3, week + 1):
        ages: dict[int, float] = defaultdict(float)
        for sold, back, count in cells:
            if now - 9 - 26 <= sold < now - 9:
                ages[back - sold] += float(count)
        total = sum(ages.values())
        for sold, probability, back in lines:
            observed += back == now
            expected += probability * ages.get(now - sold, 0.0) / total
    found = marts.execute(
        "select observed, expected, excess_returns from intermediate.int_alert_candidates_model"
        " where source = 'demo' and monitor = 'calibration' and week_no = ?",
        [week],
    ).fetchone()
    assert found == pytest.approx((observed, expected, observed - expected), rel=1e-6)


@pytest.fixture(scope="module")
def broken(demo: Build, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The demo, but from a week on scores say too little, and outcomes known later rank badly."""
    build = Build(tmp_path_factory.mktemp("broken"))
    shutil.copy(demo.warehouse, build.warehouse)
    with duckdb.connect(str(build.warehouse)) as connection:
        connection.execute(
            """
            update marts.order_return_scores set return_probability = 0.5 * return_probability
            where ordered_date >= date '2026-05-04';
            update intermediate.int_performance_figures set roc_auc = roc_auc - 0.15
            where period_start >= date '2026-03-30'
            """
        )
    run_dbt(
        ["run", "--select", "int_alert_candidates_model", "int_alert_tests", "alerts"],
        demo.vars | {"warehouse": str(build.warehouse)},
        target=build.target,
    )
    return build


def test_a_model_that_is_wrong_is_an_alert(broken: Build) -> None:
    with duckdb.connect(str(broken.warehouse), read_only=True) as connection:
        rows = {
            row[0]: row[1:]
            for row in connection.execute(
                """
                select metric, first_seen_at, status, severity, is_in_budget, alert_rank, effect,
                    money_at_risk, sentence
                from marts.alerts where source = 'demo' and entity_type = 'model'
                """
            ).fetchall()
        }
    assert rows.keys() == {"calibration", "ranking"}
    first_seen, status, severity, is_in_budget, rank, effect, money, sentence = rows["calibration"]
    assert dt.date(2026, 5, 10) < first_seen < dt.date(2026, 6, 28)
    assert (status, severity, is_in_budget) == ("open", "critical", True)
    assert 1.5 < effect < 2.2 and money > 0
    assert sentence.startswith("Return probabilities are too low: ")
    first_seen, status, severity, is_in_budget, second_rank, effect, money, sentence = rows[
        "ranking"
    ]
    # the outcomes of the week of 30 March are known nine weeks after its end
    assert dt.date(2026, 6, 7) <= first_seen <= dt.date(2026, 6, 21)
    assert (status, is_in_budget, money) == ("open", True, None)
    assert {rank, second_rank} == {1, 2}
    assert sentence.startswith("The scores rank worse than they should: ")


def test_alerts_of_the_model_are_sent(broken: Build, tmp_path: Path) -> None:
    from retour import alerts

    published = tmp_path / "published.duckdb"
    with duckdb.connect(str(published)) as connection:
        connection.execute(f"attach '{broken.warehouse}' as built (read_only)")
        connection.execute("create schema marts")
        connection.execute("create table marts.alerts as from built.marts.alerts")
    due = alerts.due_alerts(published, tmp_path / "none", "test")
    titles = [alert.title for alert in due]
    assert any("model return model" in title for title in titles[:2])
    assert any("seller" in title or "product" in title for title in titles)
