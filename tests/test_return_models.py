"""Models of returns on made-up lines: out of time, and honest where nothing can be learnt."""

from dataclasses import replace
from datetime import date

import duckdb
import numpy as np
import pytest

from ml import candidates, evaluation, retraining, return_models, scoring_sql, table_model
from ml.boosting import Settings
from ml.retraining import Rules
from ml.return_models import Lines, Policy
from ml.table_model import Feature
from tests.support import Build

TODAY = date(2026, 6, 30).toordinal()
FEATURES = (
    Feature("discount", "numeric", "price"),
    Feature("variants", "numeric", "basket"),
    Feature("category", "categorical", "product"),
)
POLICY = Policy(
    settings=Settings(
        trees=30,
        learning_rate=0.15,
        max_bins=31,
        max_pairs=3,
        min_leaf_rows=20,
        max_categories=10,
        min_category_rows=30,
    ),
    fit_rows=3000,
    min_rows=500,
    origins=2,
    calibration_days=45,
    min_gain=0.01,
    min_auc=0.53,
    threshold=0.5,
    z=1.645,
    retraining=Rules(
        replay_months=12,
        every_months=3,
        min_outcomes=300,
        calibration=0.2,
        drift=0.2,
        min_gain=0.001,
        z=1.645,
    ),
)


# whatever is new is better, so that there are several models
NEWEST = replace(
    POLICY,
    retraining=replace(POLICY.retraining, calibration=1e12, min_gain=-1e12, z=-1e6),
)


def made_up(count: int, *, signal: float = 1.0, days: int = 400, seed: int = 1) -> Lines:
    """Lines of the days before TODAY whose windows have closed; the last come first."""
    rng = np.random.default_rng(seed)
    discount, variants = rng.random(count), rng.integers(1, 4, count)
    category = rng.choice(np.array(["shoes", "toys", "books"], dtype=object), count)
    odds = -1.5 + signal * (
        2 * (discount - 0.5) + 1.5 * (variants > 1) * (category == "shoes") - (category == "books")
    )
    ordered_on = TODAY - 60 - np.sort(rng.integers(0, days, count))
    return Lines(
        columns={"discount": discount, "variants": variants, "category": category},
        label=(rng.random(count) < 1 / (1 + np.exp(-odds))).astype(np.int64),
        key=np.array([f"L{number:06}" for number in range(count)]),
        draw=rng.random(count),
        ordered_on=ordered_on,
        known_on=ordered_on + 60,
    )


def learnt(lines: Lines, policy: Policy = POLICY) -> tuple[list[dict], list]:
    records, models, _ = return_models.learn(
        lines, FEATURES, today=TODAY, policy=policy, random_state=7
    )
    return records.rows, models


def value(rows: list[dict], record: str, model: str, name: str, **where) -> float:
    """The one record with that name that was not of a single test."""
    (found,) = (
        row
        for row in rows
        if (row["record"], row["model"], row["name"]) == (record, model, name)
        and "tested_on" not in row
        and all(row.get(key) == wanted for key, wanted in where.items())
    )
    return found["value"]


@pytest.fixture(scope="module")
def good() -> tuple[list[dict], list]:
    return learnt(made_up(8000), NEWEST)


def test_a_signal_is_found_and_ranked_against_the_others(good) -> None:
    rows, models = good
    assert len(models) == 3
    assert value(rows, "run", "table", "has_signal") == 1
    area = {
        kind: value(rows, "metric", kind, "roc_auc")
        for kind in ("base_rate", "category_rate", "logistic", "forest", "boosting", "table")
    }
    assert abs(area["base_rate"] - 0.5) < 0.05
    assert area["table"] > area["category_rate"] + 0.03
    # two of the three features act together, which the logistic regression cannot know
    assert area["table"] > area["logistic"]
    assert value(rows, "metric", "table", "calibration_error") < 0.05
    assert sum(row["value"] for row in rows if row["name"] == "is_champion") == 1
    importance = {row["name"]: row["value"] for row in rows if row["record"] == "importance"}
    assert set(importance) == {feature.name for feature in FEATURES}
    assert min(importance.values()) > 0


def test_a_model_knows_nothing_of_what_came_later(good) -> None:
    """Change every outcome that was not known on the first training day: its model stays."""
    lines = made_up(8000)
    rows, models = good
    first = min(row["trained_on"] for row in rows if row["record"] == "bin").toordinal()
    later = lines.known_on > first
    changed = replace(lines, label=np.where(later, 1 - lines.label, lines.label))
    _, again = learnt(changed, NEWEST)
    assert table_model.bin_rows(again[0]) == table_model.bin_rows(models[0])
    assert table_model.pair_rows(again[0]) == table_model.pair_rows(models[0])
    assert table_model.bin_rows(again[-1]) != table_model.bin_rows(models[-1])


def test_the_order_of_lines_makes_no_difference(good) -> None:
    lines = made_up(8000)
    shuffled = lines.take(np.random.default_rng(3).permutation(len(lines.label)))
    _, again = learnt(shuffled, NEWEST)
    for one, two in zip(good[1], again, strict=True):
        assert table_model.pair_rows(one) == table_model.pair_rows(two)
        # calibration adds up in another order
        np.testing.assert_allclose(one.intercept, two.intercept, rtol=0, atol=1e-9)


def test_outcomes_by_chance_are_no_signal() -> None:
    rows, _ = learnt(made_up(8000, signal=0.0))
    assert value(rows, "run", "table", "has_signal") == 0
    assert abs(value(rows, "metric", "table", "roc_auc") - 0.5) < 0.05


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (made_up(10), "fewer than"),
        (made_up(0), "no line whose return window has closed"),
        (replace(made_up(5000), label=np.zeros(5000, dtype=np.int64)), "rarer class"),
        (replace(made_up(5000), label=np.ones(5000, dtype=np.int64)), "rarer class"),
    ],
    ids=["ten lines", "no line", "nothing returned", "all returned"],
)
def test_without_a_model_the_base_rate_is_in_use_and_says_why(lines: Lines, reason: str) -> None:
    rows, (model,) = learnt(lines)
    (said,) = (row["detail"] for row in rows if (row["record"], row["name"]) == ("run", "reason"))
    assert reason in said
    assert not model.pairs
    margin = table_model.margin(model, table_model.assign(model, lines.columns))
    rate = (lines.label.sum() + 1) / (len(lines.label) + 5)
    np.testing.assert_allclose(1 / (1 + np.exp(-margin)), rate)


def test_versions_share_out_all_lines(good) -> None:
    """Read back from records, each line is scored once, by the latest model before it."""
    rows, models = good
    listed = [row | {"source": "a'b"} for row in rows]
    for row in listed:
        for column in ("slice_id", "slice_type", "lo", "hi", "detail"):
            row.setdefault(column, None)
    versions = return_models.versions(listed)
    lines = made_up(8000)
    connection = duckdb.connect()
    connection.execute(
        "create table lines (key varchar, discount double, variants bigint,"
        " category varchar, ordered_date date)"
    )
    connection.execute(
        "insert into lines select unnest(?), unnest(?), unnest(?), unnest(?),"
        " date '0001-01-01' + cast(unnest(?) - 1 as int)",
        [
            lines.key.tolist(),
            *(lines.columns[name].tolist() for name in ("discount", "variants", "category")),
            lines.ordered_on.tolist(),
        ],
    )
    scored = np.full(len(lines.label), np.nan)
    days = [version.trained_on.toordinal() for _, version in versions]
    for number, (source, version) in enumerate(versions):
        assert source == "a'b"
        query = scoring_sql.score_query(
            version.model, features="lines", keys="key", where=version.scores
        )
        found = connection.execute(query).fetchnumpy()
        place = np.searchsorted(lines.key, np.ma.getdata(found["key"]).astype(str))
        assert np.isnan(scored[place]).all()
        scored[place] = found["margin"]
        expected = table_model.margin(
            models[number], table_model.assign(models[number], lines.take(place).columns)
        )
        np.testing.assert_allclose(scored[place], expected, rtol=0, atol=1e-12)
        latest = np.maximum(np.searchsorted(days, lines.ordered_on[place], side="left") - 1, 0)
        assert (latest == number).all()
    assert not np.isnan(scored).any()


def test_another_model_wins_by_more_than_the_margin_only() -> None:
    """And only if it is worse neither in PR-AUC nor in log loss."""

    def of(roc_auc: float, pr_auc: float, log_loss: float) -> dict[str, evaluation.Metric]:
        values = {"roc_auc": roc_auc, "pr_auc": pr_auc, "log_loss": log_loss}
        return {
            name: evaluation.Metric(name, value, None, None, 100) for name, value in values.items()
        }

    table, forest = of(0.73, 0.40, 0.50), of(0.735, 0.41, 0.49)
    found = {"table": table, "forest": forest, "logistic": of(0.70, 0.45, 0.48)}
    assert candidates.champion(found, ships="table", min_gain=0.01) == "table"
    assert candidates.champion(found, ships="table", min_gain=0.004) == "forest"
    for worse in (of(0.75, 0.39, 0.49), of(0.75, 0.41, 0.51)):
        assert (
            candidates.champion({"table": table, "b": worse}, ships="table", min_gain=0) == "table"
        )
    # nothing could be measured: one class only
    assert candidates.champion({"table": {}, "forest": {}}, ships="table", min_gain=0) == "table"


def test_published_tables_give_the_published_scores(demo: Build) -> None:
    """What anybody can compute from marts alone, for every line."""
    with duckdb.connect(str(demo.warehouse), read_only=True) as connection:
        versions = connection.execute(
            "select model_version, intercept from marts.model_runs"
            " where task = 'return' and model = 'table' and status in ('fitted', 'recalibrated')"
        ).fetchall()
        assert len(versions) == 3
        compared = 0
        for version, intercept in versions:
            bins, pairs = (
                connection.execute(
                    f"select {', '.join(columns)} from marts.{mart} where model_version = ?",
                    [version],
                ).fetchall()
                for mart, columns in (
                    ("model_bins", table_model.BIN_COLUMNS),
                    ("model_pairs", table_model.PAIR_COLUMNS),
                )
            )
            model = table_model.from_rows(intercept, bins, pairs)
            lines = connection.execute(
                "select return_features.*, return_probability, log_odds"
                " from marts.return_features"
                " inner join marts.order_return_scores using (source, order_line_id)"
                " where model_version = ? order by order_line_id",
                [version],
            ).fetchnumpy()
            if not len(lines["log_odds"]):
                continue  # of today: no line is ordered after it yet
            margin = table_model.margin(model, table_model.assign(model, lines))
            np.testing.assert_allclose(margin, lines["log_odds"], rtol=0, atol=1e-9)
            np.testing.assert_allclose(
                evaluation.sigmoid(margin), lines["return_probability"], rtol=0, atol=1e-9
            )
            compared += len(margin)
        (count,) = connection.execute("select count(*) from marts.return_features").fetchall()[0]
        assert compared == count


def test_demo_comes_close_to_what_can_be_known_at_checkout(demo: Build) -> None:
    """Out of time, on delivered lines whose window has closed; the oracle knows the generator."""
    truth = demo.folder / "truth" / "demo" / "line_truth*.parquet"
    with duckdb.connect(str(demo.warehouse), read_only=True) as connection:
        found = connection.execute(
            f"""
            select return_probability, p_checkout, cast(will_return as int) as label
            from marts.order_return_scores
            inner join marts.return_features using (source, order_line_id)
            inner join '{truth}' as truth using (order_line_id)
            where
                is_out_of_sample and label_is_mature
                and not truth.is_cancelled and not truth.is_undelivered
            """
        ).fetchnumpy()
    label = found["label"].astype(int)
    area, oracle = (
        evaluation.roc_auc(label, np.ma.getdata(found[name]))[0]
        for name in ("return_probability", "p_checkout")
    )
    print(f"{len(label):,} lines: AUC {area:.4f}, of the oracle {oracle:.4f}")
    assert len(label) > 10_000
    assert area > oracle - 0.02


# when a model is trained anew, and whether it takes over


def promotions(rows: list[dict]) -> dict[str, dict]:
    """What was decided, by day."""
    found: dict[str, dict] = {}
    for row in rows:
        if row["record"] == "promotion":
            day = found.setdefault(row["trained_on"].isoformat(), {})
            day[row["name"]] = row.get("detail", row.get("value"))
            if "lo" in row:
                day[f"{row['name']}_lo"], day[f"{row['name']}_hi"] = row["lo"], row["hi"]
    return found


def changing(change: date, *, later: tuple[float, float] = (3.0, 0.0)) -> Lines:
    """Lines whose outcomes follow another rule from a day on: how much a discount and shoes do."""
    count = 8000
    lines = made_up(count, days=500)
    rng = np.random.default_rng(9)
    is_later = lines.ordered_on >= change.toordinal()
    discount, shoes = (
        np.where(is_later, new, old) for new, old in zip(later, (3.0, 0.0), strict=True)
    )
    odds = -1.0 + discount * (lines.columns["discount"] - 0.5)
    odds = odds + shoes * ((lines.columns["category"] == "shoes") - 1 / 3)
    came = rng.random(count) < 1 / (1 + np.exp(-odds))
    return replace(lines, label=came.astype(np.int64))


UNTESTED = replace(POLICY, origins=0)  # no rivals, which cost most of the time


def decisions(lines: Lines, day: int = TODAY) -> dict[str, dict]:
    records, *_ = return_models.learn(lines, FEATURES, today=day, policy=UNTESTED, random_state=7)
    return promotions(records.rows)


def test_a_challenger_takes_over_only_where_it_is_better() -> None:
    found = decisions(changing(date(2030, 1, 1)))
    compared = [facts for facts in found.values() if "gain" in facts]
    assert len(compared) >= 3
    for facts in compared:
        wins, wins_anyway, mends = (
            facts[f"{name}_lo"] > 0 and facts[name] >= 0.001
            for name in ("gain", "gain_over_recalibrated", "recalibration_gain")
        )
        decision = "promoted" if wins and wins_anyway else "recalibrated" if mends else "kept"
        assert facts["decision"] == decision
    # what came first had little to learn from; afterwards nothing is new
    assert [facts["decision"] for facts in compared[-2:]].count("kept") >= 1


def test_another_behaviour_is_noticed_and_what_was_decided_stays_decided() -> None:
    """From January on categories matter and discounts do not: no calibration can mend that."""
    lines = changing(date(2026, 1, 1), later=(0.0, 4.0))
    found = decisions(lines)
    best = max((facts for facts in found.values() if "gain" in facts), key=lambda row: row["gain"])
    assert best["challenger"] > "table@2026-01-31"
    assert best["decision"] == "promoted" and best["gain"] > 0.01
    assert best["challenger_roc_auc"] > best["champion_roc_auc"] + 0.02
    for day in (date(2026, 3, 31), date(2026, 2, 28), date(2025, 12, 31)):
        known = lines.take(np.flatnonzero(lines.known_on <= day.toordinal()))
        then = decisions(known, day.toordinal())
        assert then == {name: facts for name, facts in found.items() if name <= day.isoformat()}
        assert len(then) > 8


def test_a_shifted_level_is_mended_before_the_quarter_ends() -> None:
    """The ranking stays, level and slope are fitted to the outcomes known by then, and no later."""
    lines = changing(date(2030, 1, 1))
    rng = np.random.default_rng(4)
    more = (lines.ordered_on >= date(2025, 12, 1).toordinal()) & (rng.random(8000) < 0.5)
    lines = replace(lines, label=np.where(more, 1, lines.label))
    records, models, _ = return_models.learn(
        lines, FEATURES, today=TODAY, policy=replace(UNTESTED, origins=2), random_state=7
    )
    found = promotions(records.rows)
    day, facts = next(item for item in found.items() if item[1].get("trigger") == "calibration")
    assert (day, facts["decision"]) == ("2026-02-28", "recalibrated")
    assert facts["observed_to_expected_lo"] > 1.2
    assert facts["recalibrated"] == f"{facts['champion']}+cal2026-02-28"

    runs = {
        row["name"]: row for row in records.rows if row.get("slice_id") == facts["recalibrated"]
    }
    assert runs["status"]["detail"] == "recalibrated"
    versions = sorted(
        {row["slice_id"] for row in records.rows if row["record"] == "intercept"},
        key=lambda name: name[-10:],
    )
    again = models[versions.index(facts["recalibrated"])]
    known = lines.known_on <= date.fromisoformat(day).toordinal()
    late = lines.take(np.flatnonzero(known & (lines.known_on > lines.known_on[known].max() - 45)))
    said = table_model.margin(again, table_model.assign(again, late.columns))
    assert runs["calibration_rows"]["value"] == len(late.label)
    assert evaluation.fit_sigmoid(said, late.label) == pytest.approx((0, 1), abs=1e-6)
    # the scores are those of the champion times the slope
    before = models[versions.index(facts["champion"])]
    slope, intercept = (runs[f"calibration_{name}"]["value"] for name in ("slope", "intercept"))
    was = table_model.margin(before, table_model.assign(before, late.columns))
    np.testing.assert_allclose(said, intercept + slope * was, atol=1e-12)

    then = decisions(lines.take(np.flatnonzero(known)), date.fromisoformat(day).toordinal())
    assert then[day] == facts


def test_gains_and_their_interval_by_hand() -> None:
    rng = np.random.default_rng(2)
    day = np.repeat(np.arange(20), 50)
    score = rng.normal(size=1000)
    label = (rng.random(1000) < evaluation.sigmoid(score)).astype(np.int64)
    lines = replace(made_up(1000), label=label, ordered_on=day, key=np.arange(1000), columns={})
    worse = score + rng.normal(size=1000)
    found = retraining.compare(lines, worse, score, 1.645)
    new = np.empty(1000)
    for half in (0, 1):
        here, other = day % 2 == half, day % 2 != half
        intercept, slope = evaluation.fit_sigmoid(score[other], label[other])
        new[here] = intercept + slope * score[here]
    p, q = evaluation.sigmoid(worse), evaluation.sigmoid(new)
    gain = np.log(np.where(label == 1, q / p, (1 - q) / (1 - p)))
    sums = np.array([(gain - gain.mean())[day == one].sum() for one in range(20)])
    error = np.sqrt((sums**2).sum() * 20 / 19) / 1000
    assert found.gain.value == pytest.approx(gain.mean())
    assert found.gain.hi - found.gain.lo == pytest.approx(2 * 1.645 * error)
    assert found.roc_auc[1] > found.roc_auc[0]
    # what recalibrating gains and what the challenger gains beyond it add up to its gain
    parts = found.recalibration.value + found.over_recalibrated.value
    assert parts == pytest.approx(found.gain.value)
    old, again = found.log_loss[0], found.recalibrated_log_loss
    assert old - again == pytest.approx(found.recalibration.value)


def test_too_little_to_compare_is_said() -> None:
    few = replace(made_up(30), label=np.zeros(30, dtype=np.int64))
    assert retraining.compare(few, np.zeros(30), np.ones(30), 1.645) is None
    assert retraining.observed_to_expected(few.take(np.arange(0)), np.array([]), 1.645) is None
    equal = retraining.score_drift(np.full(100, 0.3), np.full(50, 0.3))
    assert equal == pytest.approx(0, abs=0.05)
