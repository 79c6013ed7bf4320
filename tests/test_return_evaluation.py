"""Evaluation of the models of returns: figures by part, leak checks that warn and stop, no signal.

What SQL measures is measured again in numpy; leaks are planted and have to be found.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from data.generate import generate
from ml import evaluation, return_evaluation, return_models
from ml.evaluation import Records
from ml.table_model import Feature
from proofs import harness
from proofs.scoring import SCORING
from tests import support
from tests.support import Build
from tests.test_return_models import FEATURES, POLICY, TODAY, made_up

Z = 1.644853627
BOTH = pytest.mark.parametrize("warehouse", ["marts", "online_retail_marts"])
COLUMNS = {
    "lines": "'all'",
    "seller": "seller_id",
    "marketplace": "marketplace",
    "category": "category",
    "segment": "segment_name",
}


# figures by part


def test_figures_of_parts_are_those_of_numpy(marts: duckdb.DuckDBPyConnection) -> None:
    """Areas and lifts come from cells of a thousandth of log-odds; all else is exact."""
    compared = 0
    for kind, column in COLUMNS.items():
        members = marts.execute(
            "select distinct entity_id from marts.model_metrics"
            " where task = 'return' and entity_type = ? order by 1 limit 8",
            [kind],
        ).fetchall()
        for (member,) in members:
            lines = marts.execute(
                "select came_back, return_probability, floor(1000 * log_odds) as cell"
                f" from intermediate.int_return_tests where {column} = ?",
                [member],
            ).fetchnumpy()
            label = lines["came_back"].astype(int)
            exact, ranked = (
                {
                    metric.name: metric
                    for metric in evaluation.metrics(label, probability, threshold=0.5, z=Z)
                }
                for probability in (
                    np.ma.getdata(lines["return_probability"]),
                    evaluation.sigmoid(np.ma.getdata(lines["cell"]) / 1000),
                )
            )
            found = marts.execute(
                "select metric, value, lo, hi, n from marts.model_metrics where task = 'return'"
                " and model = 'table' and entity_type = ? and entity_id = ?",
                [kind, member],
            ).fetchall()
            assert {row[0] for row in found} == set(exact)
            for name, *numbers in found:
                by_rank = name.startswith(("lift", "roc", "pr_"))
                if name == "calibration_error":
                    assert numbers[0] == pytest.approx(exact[name].value, abs=0.01)
                    continue
                wanted = (ranked if by_rank else exact)[name]
                expected = [wanted.value, wanted.lo, wanted.hi, wanted.n]
                np.testing.assert_allclose(numbers, expected, rtol=1e-7, atol=1e-7)
                compared += 1
            counts = marts.execute(
                "select true_positives, false_positives, true_negatives, false_negatives"
                " from marts.model_confusion where task = 'return' and model = 'table'"
                " and entity_type = ? and entity_id = ?",
                [kind, member],
            ).fetchall()
            probability = np.ma.getdata(lines["return_probability"])
            assert counts == [tuple(evaluation.confusion(label, probability, 0.5).values())]
    assert compared > 200


def test_every_line_out_of_time_is_judged_once(marts: duckdb.DuckDBPyConnection) -> None:
    (same,) = marts.execute(
        """
        select
            count(*) = (
                select count(*) from marts.order_return_scores
                inner join marts.return_features using (source, order_line_id)
                where is_out_of_sample and label_return_class in ('kept', 'returned', 'open')
                    and label_is_returned is not null
                    and return_features.as_of_date - return_features.ordered_date >= 60
            )
            and count(*) = count(distinct order_line_id)
            and min(ordered_date - trained_on) > 0
        from intermediate.int_return_tests
        """
    ).fetchall()[0]
    assert same


def test_models_per_seller_are_what_numpy_finds(marts: duckdb.DuckDBPyConnection) -> None:
    lines = marts.execute(
        "select seller_id, trained_on, known_on, log_odds, return_probability, came_back"
        " from intermediate.int_return_tests where seller_id is not null order by order_line_id"
    ).fetchnumpy()
    lines = {name: np.ma.getdata(values) for name, values in lines.items()}
    said, came = lines["return_probability"], lines["came_back"].astype(float)
    gains: list[tuple[str, float]] = []
    for day in np.unique(lines["trained_on"]):
        known = lines["known_on"] <= day
        if not known.any():
            continue
        spread = said * (1 - said)
        common = (came - said)[known].sum() / spread[known].sum()
        shift, weight = {}, {}
        for seller in np.unique(lines["seller_id"][known]):
            own = known & (lines["seller_id"] == seller)
            if own.sum() >= 100:
                weight[seller] = spread[own].sum()
                shift[seller] = (came - said)[own].sum() / weight[seller] - common
        if len(shift) < 2:
            continue
        weights, shifts = np.array(list(weight.values())), np.array(list(shift.values()))
        mean = weights @ shifts / weights.sum()
        excess = weights @ (shifts - mean) ** 2 - (len(shifts) - 1)
        tau = max(0.0, excess / (weights.sum() - (weights**2).sum() / weights.sum()))
        for seller, number in shift.items():
            tested = (lines["trained_on"] == day) & (lines["seller_id"] == seller)
            moved = lines["log_odds"] + number * tau / (tau + 1 / weight[seller])
            sign = np.where(came == 1, -1, 1)
            lost = np.log1p(np.exp(sign * lines["log_odds"])) - np.log1p(np.exp(sign * moved))
            gains += [(seller, gain) for gain in lost[tested]]
    sellers, gained = (np.array(part) for part in zip(*gains, strict=True))
    sums = np.array([(gained - gained.mean())[sellers == one].sum() for one in set(sellers)])
    error = np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(gained)
    found = marts.execute(
        "select value, lo, hi, n from marts.model_metrics"
        " where model = 'per_seller' and metric = 'log_loss_gain_over_table'"
    ).fetchall()
    expected = (gained.mean(), gained.mean() - Z * error, gained.mean() + Z * error, len(gained))
    np.testing.assert_allclose(found, [expected], rtol=1e-6, atol=1e-8)
    (verdict,) = marts.execute(
        "select reason from marts.model_runs where model = 'per_seller' and reason is not null"
    ).fetchall()
    print(verdict[0])
    helped = found[0][1] > 0
    assert verdict[0].startswith("models per seller helped") == helped


# leaks


def test_a_gain_of_area_and_its_variance_by_hand() -> None:
    label = np.array([1, 1, 0, 0])
    gain, variance = return_evaluation.auc_gain(
        label, np.array([4.0, 3.0, 2.0, 1.0]), np.array([4.0, 1.0, 2.0, 3.0])
    )
    # areas 1 and 1/2; what each positive and each negative adds to the difference
    assert gain == 0.5
    assert variance == pytest.approx(np.var([0, 1], ddof=1) / 2 + np.var([0.5, 0.5], ddof=1) / 2)


def test_one_feature_alone_is_found_whatever_its_shape() -> None:
    rng = np.random.default_rng(4)
    values, label = rng.random(4000), rng.integers(0, 2, 4000)
    valley = np.where(label == 1, np.abs(values - 0.5) * 0.2 + 0.4, values)
    both = [np.split(part, 2) for part in (values, valley, label.astype(float))]
    area = return_evaluation.area_alone
    (early, late), (deep, deeper), (was, came) = both
    assert abs(area(early, was, late, came.astype(int), False)[0] - 0.5) < 0.03
    assert area(deep, was, deeper, came.astype(int), False)[0] > 0.85
    codes = [np.where(part == 1, 3.0, np.nan) for part in (was, came)]
    assert area(codes[0], was, codes[1], came.astype(int), True)[0] == 1


def leaks(lines: return_models.Lines, features: tuple[Feature, ...]) -> dict[str, dict]:
    """The leak checks of a fit, by name."""
    records, _, _ = return_models.learn(lines, features, today=TODAY, policy=POLICY, random_state=7)
    return {row["name"]: row for row in records.rows if row["record"] == "leak"}


def test_honest_lines_pass_every_check() -> None:
    found = leaks(made_up(8000), FEATURES)
    assert 0.47 < found["permuted_labels"]["value"] < 0.53
    assert found["single_feature"]["value"] < 0.85
    assert found["single_feature"]["detail"] in {feature.name for feature in FEATURES}
    assert found["planted_leak"]["value"] > 0.90
    assert abs(found["random_minus_time"]["value"]) < 0.05


def test_a_feature_that_knows_the_outcome_is_named() -> None:
    lines = made_up(8000)
    known = lines.label + np.random.default_rng(2).normal(0, 0.4, len(lines.label))
    leaking = replace(lines, columns=dict(lines.columns) | {"refund": known})
    found = leaks(leaking, (*FEATURES, Feature("refund", "numeric", "price")))
    assert found["single_feature"]["detail"] == "refund"
    assert found["single_feature"]["value"] > 0.90


def test_lines_in_both_parts_are_found_by_shuffled_outcomes() -> None:
    """A model that is tested on what it learnt from ranks even shuffled outcomes."""
    rng = np.random.default_rng(3)
    lines = made_up(1500)
    columns = dict(lines.columns) | {f"noise {number}": rng.random(1500) for number in range(20)}
    lines = replace(lines, columns=columns)
    features = [*FEATURES, *(Feature(f"noise {i}", "numeric", "price") for i in range(20))]
    records = Records()
    return_evaluation.leak_checks(
        records, lines, lines, features, settings=POLICY.settings, z=Z, random_state=1
    )
    (found,) = (row["value"] for row in records.rows if row["name"] == "permuted_labels")
    assert found > 0.53


@BOTH
def test_all_leak_checks_pass(warehouse: str, request: pytest.FixtureRequest) -> None:
    marts = request.getfixturevalue(warehouse)
    found = {
        (check, subject): (value, outcome, n)
        for check, subject, value, outcome, n in marts.execute(
            "select check_name, subject, value, outcome, n from marts.leak_checks"
            " where task = 'return'"
        ).fetchall()
    }
    print(warehouse, {key: round(value, 4) for key, (value, _, _) in sorted(found.items())})
    assert {check for check, _ in found} == {
        *("permuted_labels", "single_feature", "planted_leak", "random_minus_time"),
        *("roc_auc", "known_then", "event_times"),
    }
    assert {outcome for _, outcome, _ in found.values()} == {"passed"}
    assert 0.47 < found["permuted_labels", "table"][0] < 0.53
    assert found["known_then", "features"][2] > 50


def test_the_docs_say_what_the_real_file_gave(
    online_retail_marts: duckdb.DuckDBPyConnection,
) -> None:
    page = " ".join((support.ROOT / "docs/real-data.md").read_text(encoding="utf-8").split())
    found = {
        (metric, model): (value, n)
        for metric, model, value, n in online_retail_marts.execute(
            "select metric, model, value, n from marts.model_metrics"
            " where task = 'return' and entity_type = 'all'"
        ).fetchall()
    }
    models = ("table", "logistic", "boosting", "forest", "base_rate")
    for metric in ("roc_auc", "pr_auc"):
        assert f"| {', '.join(f'{found[metric, model][0]:.3f}' for model in models)} |" in page
    came, n = found["base_rate", "table"]
    assert f"returns of {n:,} later lines, of which {100 * came:.1f} % came" in page
    checks = online_retail_marts.execute(
        "select count(*), max(value) filter (where check_name = 'permuted_labels')"
        " from marts.leak_checks where task = 'return' and has_passed"
    ).fetchall()
    assert f"all {checks[0][0]} leak checks pass" in page
    assert f"shuffled outcomes {checks[0][1]:.3f}" in page


def test_the_readme_says_how_close_scores_come_to_the_oracle() -> None:
    figures = {row["world"]: row for row in harness.read(SCORING.file)["figures"]}
    million, demo = figures["1,000,000 lines"], figures["seed 1"]
    readme = " ".join((support.ROOT / "README.md").read_text(encoding="utf-8").split())
    assert (
        f"within {million['gap']:.3f} ROC-AUC of who knows the generator ({million['auc']:.3f} of"
        f" {million['oracle_auc']:.3f}; demo {demo['gap']:.3f})" in readme
    )


def test_too_good_warns_better_stops_and_a_reason_is_accepted(demo: Build, tmp_path: Path) -> None:
    """The figure of one feature is raised in a copy of the warehouse; the mart is built again."""
    copy = shutil.copy(demo.warehouse, tmp_path / "warehouse.duckdb")

    def built(*statements: str) -> tuple[int, str]:
        with duckdb.connect(copy) as connection:
            for statement in statements:
                connection.execute(statement)
        result = support.run_dbt(
            ["build", "--select", "leak_checks"],
            demo.vars | {"warehouse": str(copy)},
            target=tmp_path / "target",
            check=False,
        )
        with duckdb.connect(copy, read_only=True) as connection:
            [(outcome, passed)] = connection.execute(
                "select outcome, has_passed from marts.leak_checks"
                " where check_name = 'single_feature'"
            ).fetchall()
        assert passed == (outcome != "failed")
        return result.returncode, f"{outcome}: {result.stdout.split('Done.')[-1].strip()}"

    raised = (
        "update private.ml_return_models set value = {}, detail = 'refund'"
        " where record = 'leak' and name = 'single_feature'"
    )
    code, said = built(raised.format(0.87))
    assert code == 0 and said.startswith("suspicious: PASS") and "WARN=1 ERROR=0" in said
    code, said = built(raised.format(0.93))
    assert code == 1 and said.startswith("failed: PASS") and "WARN=0 ERROR=1" in said
    accept = (
        "insert into policy.policy_accepted_leaks"
        " values ('demo', 'return', 'single_feature', 'refund', {}, 'known at checkout', today())"
    )
    code, said = built(accept.format(920))
    assert code == 1 and said.startswith("failed")
    code, said = built("delete from policy.policy_accepted_leaks", accept.format(940))
    assert code == 0 and said.startswith("accepted") and "WARN=0 ERROR=0" in said


# what models lean on, cards


def test_importance_is_of_features_that_matter(marts: duckdb.DuckDBPyConnection) -> None:
    found = marts.execute(
        "select feature, feature_group, auc_loss, auc_loss_lo, repeats, auc_alone, importance_rank"
        " from marts.model_feature_importance where task = 'return' order by importance_rank"
    ).fetchall()
    (count,) = marts.execute(
        "select count(*) from policy.policy_model_features where feature_set = 'checkout'"
    ).fetchall()[0]
    assert [row[-1] for row in found] == list(range(1, count + 1))
    assert all(row[1] for row in found) and {row[4] for row in found} == {3}
    # in the world of the generator: category and bracketing
    assert [row[0] for row in found[:1]] == ["category"] and found[0][3] > 0
    bracketing = {"same_product_lines", "same_product_variants"}
    assert bracketing & {row[0] for row in found[:4]}
    alone = {row[0]: row[5] for row in found}
    assert alone["product_return_rate"] > 0.65 > 0.53 > alone["is_weekend"]


def test_a_card_for_every_model(marts: duckdb.DuckDBPyConnection) -> None:
    cards = marts.execute(
        """
        select model_cards.sentence, model_cards.roc_auc, model_metrics.value
        from marts.model_cards
        inner join marts.model_metrics using (source, task, model)
        where task = 'return' and model = 'table' and trained_on = model_cards.as_of_date
            and metric = 'roc_auc' and entity_type = 'all'
        """
    ).fetchall()
    assert len(cards) == 1 and cards[0][1] == cards[0][2]
    assert f"in {100 * cards[0][1]:.1f} % of pairs" in cards[0][0]


# no signal


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A world in which every delivered line comes back with the same probability."""
    build = Build(tmp_path_factory.mktemp("noise"))
    generate(build.folder, source="demo", lines=20_000, seed=3, noise_labels=True, sellers=30)
    support.build(
        build,
        *("--select", "+model_cards", "+flagged_orders", "+coverage"),
        *("--indirect-selection", "cautious", *support.WITHOUT_UNIT_TESTS),
    )
    return build


def test_noise_is_no_signal_and_nobody_is_flagged(noise: Build) -> None:
    """Outcomes drawn before any feature was made: the strictest shuffle of all."""
    [(has_signal, reason)] = support.query(
        noise,
        "select has_signal, reason from marts.model_runs"
        " where task = 'return' and trained_on = as_of_date and has_signal is not null",
    )
    print(reason)
    assert has_signal is False and "no signal" in reason
    [(card,)] = support.query(
        noise, "select sentence from marts.model_cards where task = 'return' and not has_signal"
    )
    assert "Do not act on it." in card or card.startswith("There is no model")
    [(status, why)] = support.query(
        noise, "select status, reason from marts.coverage where mart = 'order_return_scores'"
    )
    assert status == "partial" and why.startswith("No signal")
    areas = support.query(
        noise,
        "select value from marts.leak_checks"
        " where task = 'return' and check_name in ('roc_auc', 'single_feature')",
    )
    assert all(value < 0.55 for (value,) in areas)
    assert support.query(
        noise,
        "select bool_and(not has_signal), count(*) filter (where risk_band <> 'no signal'),"
        " max(expected_gain) from marts.order_return_scores",
    )[0][:2] == (True, 0)
    assert support.query(
        noise,
        "select distinct recommended_action from marts.order_return_scores where is_out_of_sample",
    ) == [("ship",)]
    assert support.query(noise, "select count(*) from marts.flagged_orders") == [(0,)]
