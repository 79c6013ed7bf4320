"""marts.customer_churn and the model_* tables: nothing is known before it happened.

And what becomes of a source with too few customers, only guests, one outcome, or equal customers.
"""

import csv
import random
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest

from ml import churn, evaluation
from tests import support
from tests.support import Build

Connection = duckdb.DuckDBPyConnection

BOTH = pytest.mark.parametrize("warehouse", ["marts", "online_retail_marts"])
CUT = "2026-03-31"  # the last cut-off of the demo that is tested


@BOTH
def test_models_beat_the_rules_or_the_table_says_so(
    warehouse: str, request: pytest.FixtureRequest
) -> None:
    """Out of time, on all tested cut-offs together; both do, on the demo and on the real file."""
    marts = request.getfixturevalue(warehouse)
    areas = dict(
        marts.execute(
            "select model, value from marts.model_metrics"
            " where task = 'churn' and metric = 'pr_auc' and entity_type = 'all'"
        ).fetchall()
    )
    print(warehouse, {model: round(area, 4) for model, area in sorted(areas.items())})
    assert set(areas) == {*churn.MODELS, *churn.BASELINES}
    for model, says in marts.execute(
        "select model, beats_baselines from marts.model_runs"
        " where task = 'churn' and trained_on = as_of_date"
    ).fetchall():
        assert says == all(areas[model] > areas[rule] for rule in churn.BASELINES)
        assert says
    tested = marts.execute(
        "select count(*), bool_and(has_passed), min(value), max(value) from marts.leak_checks"
        " where task = 'churn' and check_name = 'permuted_labels'"
    ).fetchone()
    assert tested[:2] == (2, True)
    assert 0.47 <= tested[2] <= tested[3] <= 0.53


@BOTH
def test_sql_scores_like_scikit_learn(warehouse: str, request: pytest.FixtureRequest) -> None:
    """The model of today, fitted again on the rows and features that model_runs names."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    marts = request.getfixturevalue(warehouse)
    names, rows, intercept, slope, fit_to, calibrated_on = marts.execute(
        """
        select features, fit_rows, calibration_intercept, calibration_slope, fit_to, calibrated_on
        from marts.model_runs
        where task = 'churn' and model = 'logistic' and trained_on = as_of_date
        """
    ).fetchone()
    assert fit_to < calibrated_on
    features = marts.execute(
        f"""
        select known_on, has_churned, is_current, customer_id, {names}
        from intermediate.int_churn_features where is_sampled order by known_on, draw, customer_id
        """
    ).fetchnumpy()
    matrix = np.column_stack([features[name].astype(float) for name in names.split(", ")])
    early = np.flatnonzero(features["known_on"] <= np.datetime64(fit_to))
    late = features["known_on"] == np.datetime64(calibrated_on)
    if rows < len(early):
        early = early[np.sort(np.random.default_rng(42).permutation(len(early))[:rows])]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(matrix[early], features["has_churned"][early].astype(int))
    raw = model.decision_function(matrix)
    today = features["is_current"].astype(bool)
    expected = dict(
        zip(
            features["customer_id"][today],
            1 / (1 + np.exp(-(intercept + slope * raw[today]))),
            strict=True,
        )
    )
    found = dict(
        marts.execute(
            "select customer_id, logistic_probability from marts.customer_churn"
        ).fetchall()
    )
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(
        [found[key] for key in found], [expected[key] for key in found], rtol=0, atol=1e-9
    )
    # calibrated: the probabilities of the later slice add up to those who churned in it
    said = 1 / (1 + np.exp(-(intercept + slope * raw[late])))
    churned = features["has_churned"][late].astype(int)
    assert said.mean() == pytest.approx(churned.mean(), abs=1e-3)


def known(rows: Iterable[dict], column: str, cut: str) -> list[dict]:
    """Rows of which the column is empty or a day up to the cut."""
    return [row for row in rows if not row[column] or row[column][:10] <= cut]


def test_features_do_not_change_with_what_comes_later(demo: Build, tmp_path: Path) -> None:
    """The demo's files as they would have been on the day of a cut-off, built anew: same bits.

    Orders, returns, deliveries and cancellations after the day are gone. An undelivered line has no
    date of its own in the files; it stays.
    """
    past = Build(tmp_path)
    folder = past.raw / "demo"
    folder.mkdir(parents=True)
    for file in sorted((demo.raw / "demo").glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = [row for row in reader if None not in row and None not in row.values()]
        if file.stem == "order_lines":
            rows = known(rows, "ordered_at", CUT)
            for row in rows:
                if row["cancelled_at"][:10] > CUT:
                    row["cancelled_at"] = row["return_status"] = ""
                if row["delivered_at"][:10] > CUT:
                    row["delivered_at"] = ""
        if file.stem == "returns":
            rows = known(rows, "returned_at", CUT)
        with (folder / file.name).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, reader.fieldnames, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    support.build(
        past,
        *(*support.WITHOUT_UNIT_TESTS, "--exclude-resource-type", "test"),
        *("--select", "+int_churn_features"),
        as_of_date=CUT,
    )
    question = f"""
        select customer_id, recency_days, tenure_days, purchase_day_count, draw,
            {", ".join(churn.FEATURES)}, p_alive
        from intermediate.int_churn_features where known_on = date '{CUT}' order by customer_id
    """
    then, now = support.query(past, question), support.query(demo, question)
    assert len(then) > 4000
    assert then == now


def test_metrics_are_those_of_scikit_learn() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(3)
    label = (rng.random(2000) < 0.3).astype(np.int64)
    probability = np.round(np.clip(0.3 + 0.2 * label + rng.normal(0, 0.2, 2000), 0.01, 0.99), 2)
    found = {
        metric.name: metric
        for metric in evaluation.metrics(label, probability, threshold=0.5, z=1.645)
    }
    said = probability >= 0.5
    for name, value in {
        "accuracy": metrics.accuracy_score(label, said),
        "precision": metrics.precision_score(label, said),
        "recall": metrics.recall_score(label, said),
        "f1": metrics.f1_score(label, said),
        "roc_auc": metrics.roc_auc_score(label, probability),
        "pr_auc": metrics.average_precision_score(label, probability),
        "brier": metrics.brier_score_loss(label, probability),
        "log_loss": metrics.log_loss(label, probability),
    }.items():
        assert found[name].value == pytest.approx(value, abs=1e-12), name
        assert found[name].lo < value < found[name].hi
    highest = np.sort(probability)[::-1][:200].min()
    assert (probability == highest).sum() > 1  # equal probabilities at the edge count in part
    assert found["lift_10"].value == pytest.approx(
        label[probability > highest].sum() / 200 / label.mean()
        + (200 - (probability > highest).sum())
        * label[probability == highest].mean()
        / 200
        / label.mean()
    )


def test_intervals_hold_what_they_promise() -> None:
    """Of 300 samples of a known world about nine in ten intervals hold the truth."""
    rng = np.random.default_rng(4)

    def sample(size: int) -> tuple[np.ndarray, np.ndarray]:
        probability = rng.beta(1, 2, size)
        return (rng.random(size) < probability).astype(np.int64), probability

    names = ("roc_auc", "pr_auc", "recall", "precision", "brier", "log_loss", "f1", "lift_20")
    truth = {
        metric.name: metric.value
        for metric in evaluation.metrics(*sample(400_000), threshold=0.5, z=1.645)
    }
    held = dict.fromkeys(names, 0)
    for _ in range(300):
        for metric in evaluation.metrics(*sample(600), threshold=0.5, z=1.645):
            if metric.name in held:
                held[metric.name] += metric.lo <= truth[metric.name] <= metric.hi
    for name, count in held.items():
        assert 0.84 <= count / 300 <= 0.98, (name, count)


# poor sources: day of the order, customer, product


def regular(customers: int, days: int, every: int) -> list[tuple[date, str]]:
    """Customers who buy every so many days, each from a day of their own on."""
    first = date(2025, 1, 1)
    return [
        (first + timedelta(day), f"c{number}")
        for number in range(customers)
        for day in range(number % every, days, every)
    ]


def once(customers: int, days: int) -> list[tuple[date, str]]:
    """Customers who buy a single time."""
    rng = random.Random(5)
    return [(date(2025, 1, 1) + timedelta(rng.randrange(days)), f"c{n}") for n in range(customers)]


def leaving(customers: int, days: int) -> list[tuple[date, str]]:
    """Customers who buy at rates of their own and leave after a while."""
    rng, orders = random.Random(6), []
    for number in range(customers):
        day, pause = rng.uniform(0, days), rng.uniform(5, 40)
        while day < days:
            orders.append((date(2025, 1, 1) + timedelta(int(day)), f"c{number}"))
            day += rng.expovariate(1 / pause) if rng.random() < 0.8 else days
    return sorted(set(orders))


POOR = {
    "leaving": leaving(500, 400),  # the one that can be learnt from
    "few": regular(8, 400, 30),
    "guests": [(day, "guest") for day, _ in regular(200, 400, 20)],
    "faithful": regular(300, 400, 10),  # nobody ever churns
    "fleeting": once(600, 400),  # nobody ever comes back
    "short": regular(300, 20, 7),
    "equal": [(date(2025, 1, 1), f"c{n}") for n in range(300)]
    + [(date(2025, 6, 1), f"c{n}") for n in range(150)]
    + [(date(2026, 1, 31), "last")],
}


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Sources that can teach little; each line is kept and costs the same."""
    build = Build(tmp_path_factory.mktemp("poor"), sources=tuple(POOR))
    for source, orders in POOR.items():
        rows = [["order_id", "ordered_at", "customer_id", "product_id", "quantity", "unit_price"]]
        rows += [
            [f"o{number}", f"{day} 12:00:00", customer, "thing", "1", "10.00"]
            for number, (day, customer) in enumerate(orders)
        ]
        support.write_table(build.raw / source / "order_lines.csv", rows)
    support.build(build, *support.WITHOUT_UNIT_TESTS)
    return build


def test_poor_sources_give_a_reason_and_an_empty_table(poor: Build) -> None:
    reasons = {
        row[:2]: row[2:]
        for row in support.query(
            poor,
            """
            select source, task, max(status), max(reason), count(*) filter (is_champion)
            from marts.model_runs where trained_on = as_of_date group by source, task
            """,
        )
    }
    for source, text in {
        "few": "rows to fit on, fewer than 200",
        "guests": "0 month-ends whose outcome is known",
        "faithful": "one class only to fit on",
        "fleeting": "0 month-ends whose outcome is known",
        "short": "month-ends whose outcome is known",
        "equal": "one class only",
    }.items():
        status, reason, champions = reasons[source, "churn"]
        assert (status, champions) == ("no model", 0), source
        assert text in reason
    for source in ("few", "guests", "fleeting"):
        status, reason, champions = reasons[source, "value"]
        assert (status, champions) == ("no model", 0), source
        assert "customers bought again, fewer than value_min_repeaters (50)" in reason
    for task, mart in (("churn", "customer_churn"), ("value", "customer_value")):
        filled = dict(support.query(poor, f"select source, count(*) from marts.{mart} group by 1"))
        coverage = dict(
            support.query(poor, f"select source, status from marts.coverage where mart = '{mart}'")
        )
        for source in POOR:
            has_model = reasons[source, task][2] == 1
            assert (source in filled) == has_model, (mart, source)
            assert (coverage[source] == "empty") == (not has_model), (mart, source)


def test_a_constant_feature_is_named_and_has_no_weight(poor: Build) -> None:
    """Every purchase of these customers is one line at one price."""
    constant = ("purchase_amount", "purchase_lines")
    weights = support.query(
        poor,
        f"""
        select source, value from private.ml_churn
        where record = 'coefficient' and name in {constant}
        """,
    )
    assert weights == [("leaving", 0.0)] * 2
    reasons = support.query(
        poor,
        "select distinct reason from marts.model_runs where source = 'leaving' and is_champion"
        " and task = 'churn'",
    )
    assert reasons == [(f"constant, so without weight: {', '.join(constant)}",)]


def test_constant_features_get_no_weight() -> None:
    rng = np.random.default_rng(6)
    features = np.column_stack(
        [rng.normal(size=400), np.full(400, 0.1 + 0.2), rng.normal(size=400)]
    )
    label = (rng.random(400) < 1 / (1 + np.exp(-features[:, 0]))).astype(np.int64)
    policy = churn.Policy(400, 100, 10, 3, 0.01, 0.5, 1.645)
    given = {
        "late_features": features,
        "late_label": label,
        "policy": policy,
        "random_state": 1,
    }
    for kind in churn.MODELS:
        model = churn.fit(kind, features, label, **given)
        assert list(model.varies) == [True, False, True]
        changed = features + np.array([0, 5, 0])
        np.testing.assert_array_equal(model.probability(features), model.probability(changed))
    given["late_features"] = np.ones((400, 3))
    with pytest.raises(churn.NoModel, match="constant"):
        churn.fit("logistic", np.ones((400, 3)), label, **given)
