"""Can the model be trusted: performance without outcomes, and what of it came true.

What the marts say is computed again from scores and outcomes, in another way.
"""

import duckdb
import numpy as np
import pytest
from sklearn import metrics

Z = 1.644853627
LINES = """
    select
        scores.log_odds, scores.return_probability as p, lines.ordered_date, lines.marketplace,
        lines.category, lines.is_returned
            and date_diff('day', lines.ordered_date, lines.first_returned_at::date) <= 60
            as came_back,
        lines.maturity::double as maturity
    from marts.order_return_scores as scores
    inner join marts.order_lines as lines using (source, order_line_id)
    where scores.is_out_of_sample and lines.return_class in ('kept', 'returned', 'open')
"""


def scored(marts: duckdb.DuckDBPyConnection, where: str) -> dict[str, np.ndarray]:
    found = marts.execute(f"select * from ({LINES}) where {where}").fetchnumpy()
    return {name: np.ma.getdata(values) for name, values in found.items()}


def performance(marts: duckdb.DuckDBPyConnection, where: str) -> dict[str, dict]:
    found = marts.execute(f"select * from marts.model_performance where {where}")
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {row["metric"]: row for row in rows}


def expected_area(p: np.ndarray, score: np.ndarray) -> float:
    """Over all pairs of lines: one comes back, the other does not, by their probabilities."""
    above = (score[:, None] > score) + 0.5 * (score[:, None] == score)
    weight = p[:, None] * (1 - p)
    np.fill_diagonal(weight, 0)
    return (weight * above).sum() / weight.sum()


PARTS = [
    ("month", "date '2026-01-01'", "true", "all"),
    ("week", "date '2025-11-24'", "true", "all"),
    ("month", "date '2025-12-01'", "category = 'shoes'", "shoes"),
    (
        "week",
        "date '2026-03-02'",
        "marketplace = (select min(marketplace) from marts.order_lines)",
        "",
    ),
]


@pytest.mark.parametrize(("grain", "start", "members", "entity"), PARTS)
def test_estimates_and_what_came_are_those_of_all_pairs_and_of_scikit_learn(
    marts: duckdb.DuckDBPyConnection, grain: str, start: str, members: str, entity: str
) -> None:
    lines = scored(marts, f"date_trunc('{grain}', ordered_date) = {start} and {members}")
    if not entity:
        (entity,) = marts.execute("select min(marketplace) from marts.order_lines").fetchone()
    found = performance(
        marts, f"period_grain = '{grain}' and period_start = {start} and entity_id = '{entity}'"
    )
    p, y = lines["p"], lines["came_back"].astype(int)
    said = p >= 0.5
    assert len(p) > 200 and {row["n"] for row in found.values()} == {len(p), said.sum()}
    expected = {
        "roc_auc": expected_area(p, np.floor(100 * lines["log_odds"])),
        "accuracy": np.where(said, p, 1 - p).mean(),
        "precision": p[said].mean(),
        "recall": p[said].sum() / p.sum(),
        "f1": 2 * p[said].sum() / (said.sum() + p.sum()),
        "brier": (p * (1 - p)).mean(),
        "log_loss": -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean(),
        "base_rate": p.mean(),
    }
    realised = {
        "roc_auc": metrics.roc_auc_score(y, np.floor(100 * lines["log_odds"])),
        "accuracy": metrics.accuracy_score(y, said),
        "precision": metrics.precision_score(y, said),
        "recall": metrics.recall_score(y, said),
        "f1": metrics.f1_score(y, said),
        "brier": metrics.brier_score_loss(y, p),
        "log_loss": metrics.log_loss(y, p),
        "base_rate": y.mean(),
    }
    assert found.keys() == expected.keys()
    for name, row in found.items():
        assert row["is_mature"]
        assert row["estimated"] == pytest.approx(expected[name], abs=1e-8), name
        assert row["realised"] == pytest.approx(realised[name], abs=1e-7), name
    # a score that is rounded to a hundredth of log-odds ranks as the score does
    assert metrics.roc_auc_score(y, lines["log_odds"]) == pytest.approx(
        realised["roc_auc"], abs=0.002
    )


def test_outcomes_drawn_from_the_probabilities_fall_into_the_interval(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    """The interval of an estimate is where figures fall if the probabilities are right."""
    lines = scored(marts, "date_trunc('month', ordered_date) = date '2026-02-01'")
    found = performance(
        marts, "period_grain = 'month' and period_start = date '2026-02-01' and entity_id = 'all'"
    )
    (dispersion,) = marts.execute(
        "select greatest(1, dispersion) from intermediate.int_return_dispersion"
        " where is_current and unit = 'lines' and source = 'demo'"
    ).fetchone()
    p, score = lines["p"], np.floor(100 * lines["log_odds"])
    said = p >= 0.5
    rng, draws = np.random.default_rng(5), 600
    outcomes = rng.random((draws, len(p))) < p
    values: dict[str, list[float]] = {name: [] for name in found}
    for y in outcomes:
        hits = (y & said).sum()
        values["roc_auc"].append(metrics.roc_auc_score(y, score))
        values["accuracy"].append((y == said).mean())
        values["precision"].append(hits / said.sum())
        values["recall"].append(hits / y.sum())
        values["f1"].append(2 * hits / (said.sum() + y.sum()))
        values["brier"].append(((p - y) ** 2).mean())
        values["log_loss"].append(-np.log(np.where(y, p, 1 - p)).mean())
        values["base_rate"].append(y.mean())
    for name, drawn in values.items():
        row = found[name]
        half = (row["estimated_hi"] - row["estimated_lo"]) / 2
        assert half == pytest.approx(Z * np.sqrt(dispersion) * np.std(drawn), rel=0.1), name
        assert row["estimated"] == pytest.approx(np.mean(drawn), abs=half / 8), name


def test_observed_to_expected_counts_what_should_have_come_by_now(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    lines = scored(marts, "ordered_date >= date '2026-06-01'")
    row = performance(
        marts, "period_grain = 'month' and period_start = date '2026-06-01' and entity_id = 'all'"
    )["base_rate"]
    (window_share,) = marts.execute(
        "select completion from marts.return_completion_curve where source = 'demo'"
        " and stratum_level = 0 and age_days = 60"
    ).fetchone()
    so_far = lines["p"] * np.minimum(1, lines["maturity"] / window_share)
    assert not row["is_mature"] and row["realised"] is None and row["known_lines"] == 0
    assert row["observed_returns"] == lines["came_back"].sum()
    assert row["expected_returns"] == pytest.approx(so_far.sum(), abs=1e-4)
    assert row["observed_to_expected"] == pytest.approx(lines["came_back"].sum() / so_far.sum())
    # the chance of the returns alone is less than the interval, which knows the error of the curve
    chance = Z * np.sqrt((so_far * (1 - so_far)).sum()) / so_far.sum()
    half = (row["observed_to_expected_hi"] - row["observed_to_expected_lo"]) / 2
    assert chance < half < 3 * chance
