"""Drift: statistics against scipy, odd inputs, the published batches, the demo's incidents."""

import datetime as dt
import hashlib
import math
from pathlib import Path

import click.testing
import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import spatial, stats
from scipy.stats._stats_py import _attempt_exact_2kssamp

from ml import domain_classifier
from proofs import drift_claims
from retour import cli, drift, drift_models
from retour.errors import RetourError
from retour.rendering import Project
from tests.support import ROOT, SHARED, Build

PUBLISHED = SHARED / "data" / "return_monitoring_batches"
BINS = 10


def write(file: Path, **columns: object) -> str:
    """A Parquet file of these columns; NaN is NULL."""
    with duckdb.connect() as connection:
        rows = {name: np.asarray(values) for name, values in columns.items()}  # noqa: F841
        selected = ", ".join(
            f"case when isnan({name}) then null else {name} end as {name}"
            if np.asarray(values).dtype.kind == "f"
            else f"{name}"
            for name, values in columns.items()
        )
        connection.execute(f"copy (select {selected} from rows) to '{file}' (format parquet)")
    return str(file)


def check(baseline: str, *batches: str, **options: object) -> drift.Check:
    return drift.check(baseline, batches, root=ROOT, warehouse=Path("none.duckdb"), **options)


def features(found: drift.Check) -> dict[str, dict]:
    return {row["feature"]: row for row in found.rows("select * from drift_features")}


def batches(found: drift.Check) -> dict[str, dict]:
    """By the name without its folder."""
    rows = found.rows("select * from drift_batches")
    return {row["batch"].rpartition("/")[2]: row for row in rows}


# against scipy


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict, dict]:
    folder = tmp_path_factory.mktemp("drift")
    rng = np.random.default_rng(5)
    sides = []
    for size, shift in ((2_400, 0.0), (700, 0.15)):
        sides.append(
            {
                "plain": rng.normal(shift, 1, size),
                "skewed": np.round(rng.lognormal(3 + shift, 0.7, size), 2),
                "tied": rng.poisson(2 + shift, size).astype(float),
                "zeros": np.where(rng.random(size) < 0.6, 0, np.round(rng.beta(2, 5, size), 2)),
                "holes": np.where(rng.random(size) < 0.3, np.nan, rng.normal(0, 2, size)),
                "flag": (rng.random(size) < 0.3 + shift).astype(float),
                "letter": rng.choice(list("abcde"), size, p=[0.4, 0.3, 0.15, 0.1, 0.05]),
            }
        )
    baseline, batch = sides
    found = check(
        write(folder / "baseline.parquet", **baseline), write(folder / "batch.parquet", **batch)
    )
    return baseline, batch, features(found)


NUMBERS = ("plain", "skewed", "tied", "zeros", "holes", "flag")


def known(values: NDArray) -> NDArray:
    return values[~np.isnan(values)]


def binned(baseline: NDArray, batch: NDArray, *, pooled: bool = False) -> tuple[NDArray, NDArray]:
    """Lines per tenth of the baseline, or of both (or member); missing in a bin of its own."""
    if baseline.dtype.kind != "f":
        members = np.unique(np.r_[baseline, batch])
        return tuple(
            np.array([(side == one).sum() for one in members]) for side in (baseline, batch)
        )
    values = known(np.r_[baseline, batch] if pooled else baseline)
    edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    counts = []
    for side in (baseline, batch):
        bins = np.searchsorted(edges, known(side))
        counts.append(np.r_[np.bincount(bins, minlength=len(edges) + 1), np.isnan(side).sum()])
    kept = counts[0] + counts[1] > 0
    return counts[0][kept].astype(float), counts[1][kept].astype(float)


@pytest.mark.parametrize("name", NUMBERS)
def test_ks_and_wasserstein_are_those_of_scipy(name: str, compared: tuple) -> None:
    baseline, batch, found = compared
    one, other = known(baseline[name]), known(batch[name])
    assert found[name]["ks_statistic"] == pytest.approx(
        stats.ks_2samp(one, other).statistic, abs=1e-9
    )
    distance = stats.wasserstein_distance(one, other) / one.std()
    assert found[name]["wasserstein"] == pytest.approx(distance, abs=1e-9)
    assert found[name]["baseline_mean"] == pytest.approx(one.mean(), abs=1e-8)
    assert found[name]["current_mean"] == pytest.approx(other.mean(), abs=1e-8)


@pytest.mark.parametrize("name", (*NUMBERS, "letter"))
def test_distances_of_bins_are_those_of_scipy(name: str, compared: tuple) -> None:
    baseline, batch, found = compared
    one, other = binned(baseline[name], batch[name])
    row = found[name]
    js = spatial.distance.jensenshannon(one / one.sum(), other / other.sum(), base=2)
    assert row["js_distance"] == pytest.approx(js, abs=1e-9)
    p = (one + 0.5) / (one.sum() + 0.5 * len(one))
    q = (other + 0.5) / (other.sum() + 0.5 * len(one))
    psi = ((q - p) * np.log(q / p)).sum()
    assert row["psi"] == pytest.approx(psi, abs=1e-9)
    by_chance = (len(one) - 1) * (1 / one.sum() + 1 / other.sum())
    assert row["psi_corrected"] == pytest.approx(psi - by_chance, abs=1e-9)


@pytest.mark.parametrize("name", (*NUMBERS, "letter"))
def test_chi_square_is_that_of_scipy(name: str, compared: tuple) -> None:
    baseline, batch, found = compared
    # no bin of these is rare, so none was merged
    one, other = binned(baseline[name], batch[name], pooled=True)
    row = found[name]
    chance = stats.chi2_contingency(np.array([one, other]), correction=False)
    assert row["chi_square_df"] == chance.dof
    assert row["chi_square"] == pytest.approx(chance.statistic, abs=1e-8)
    assert row["psi_p_value"] == pytest.approx(chance.pvalue, abs=1e-3)
    assert row["cramers_v"] == pytest.approx(
        stats.contingency.association(np.array([one, other]).astype(int)), abs=1e-9
    )


def test_p_of_few_lines_is_that_of_all_ways_to_deal_them_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    one, other = rng.choice(6, 70) + 0.0, rng.choice(6, 60, p=np.arange(8, 2, -1) / 33) + 0.0
    row = features(
        check(write(tmp_path / "a.parquet", x=one), write(tmp_path / "b.parquet", x=other))
    )["x"]
    table = np.array(binned(one, other, pooled=True)).astype(int)
    drawn = stats.random_table(table.sum(axis=1), table.sum(axis=0)).rvs(
        20_000, method="patefield", random_state=1
    )
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    chance = ((drawn - expected) ** 2 / expected).sum(axis=(1, 2))
    assert row["chi_square_df"] == table.shape[1] - 1
    assert row["psi_p_value"] == pytest.approx((chance >= row["chi_square"]).mean(), abs=0.006)


def test_p_of_ks_is_the_exact_mid_p_without_ties(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    for m, n in ((4_000, 800), (5_000, 100), (900, 300), (300, 300), (137, 100)):
        for shift in (0, 0.05, 0.15, 0.3):
            one, other = rng.normal(0, 1, m), rng.normal(shift, 1, n)
            found = features(
                check(write(tmp_path / "a.parquet", x=one), write(tmp_path / "b.parquet", x=other))
            )
            exact = stats.ks_2samp(one, other, method="exact")
            # one step of the lattice further
            step = math.gcd(m, n) / (m * n)
            beyond = _attempt_exact_2kssamp(
                m, n, math.gcd(m, n), exact.statistic + step, "two-sided"
            )[2]
            mid = (exact.pvalue + beyond) / 2
            near = 1e-3 if n > 300 or mid < 0.1 else 5e-3
            assert found["x"]["ks_p_value"] == pytest.approx(mid, abs=near), (m, n, shift)


def test_p_of_ks_of_a_flag_is_that_of_two_shares(compared: tuple) -> None:
    baseline, batch, found = compared
    one, other = binned(baseline["flag"], batch["flag"], pooled=True)
    exact = stats.chi2_contingency(np.array([one, other]), correction=False).pvalue
    assert found["flag"]["ks_p_value"] == pytest.approx(exact, abs=1e-6)


def test_the_tail_of_chi_square_is_right_to_a_thousandth() -> None:
    project = Project(ROOT, {"random_seed": 42})
    inner = project.text("select x, df, {{ chi_square_deviate('x', 'df') }} as z from asked")
    sql = project.text("select x, df, {{ chi_square_tail('z', 'x', 'df') }} as p from deviates")
    with duckdb.connect() as connection:
        connection.execute(
            "create table asked as select i / 4.0 as x, df::bigint as df "
            "from range(0, 800) as a (i), range(1, 61) as b (df)"
        )
        rows = connection.execute(f"with deviates as ({inner}) {sql}").fetchnumpy()
    exact = stats.chi2.sf(rows["x"], rows["df"])
    assert np.abs(rows["p"] - exact).max() < 1e-3
    small = (exact < 0.05) & (exact > 1e-12)
    assert np.abs(rows["p"] / exact - 1)[small].max() < 0.02


def test_kolmogorov_is_that_of_scipy() -> None:
    project = Project(ROOT, {"random_seed": 42})
    sql = project.text("select x, {{ kolmogorov_tail('x') }} as p from asked")
    with duckdb.connect() as connection:
        connection.execute(
            "create table asked as select i / 100.0 as x from range(1, 400) as a (i)"
        )
        rows = connection.execute(sql).fetchnumpy()
    assert np.abs(rows["p"] - stats.kstwobign.sf(rows["x"])).max() < 1e-9


def test_q_values_are_those_of_scipy(compared: tuple) -> None:
    rows = list(compared[2].values())
    wanted = stats.false_discovery_control([row["p_value"] for row in rows])
    assert [row["q_value"] for row in rows] == pytest.approx(list(wanted), abs=1e-12)


# what cannot be compared


def test_odd_columns_and_batches_have_a_stated_outcome(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = {
        "x": rng.normal(size=400),
        "constant": np.full(400, 7.0),
        "empty": np.full(400, np.nan),
        "gone": rng.normal(size=400),
        "kind": rng.choice(["a", "b"], 400),
    }
    baseline = write(tmp_path / "baseline.parquet", **rows)
    without = {name: values for name, values in rows.items() if name != "gone"}
    files = [
        write(tmp_path / "same.parquet", **rows),
        write(tmp_path / "three.parquet", **{name: values[:3] for name, values in rows.items()}),
        write(tmp_path / "none.parquet", **{name: values[:0] for name, values in rows.items()}),
        write(tmp_path / "without.parquet", **without),
        write(tmp_path / "new.parquet", **rows, extra=rng.normal(size=400)),
    ]
    found = check(baseline, *files)
    outcome = {
        (row["batch"].rpartition("/")[2], row["feature"]): row["outcome"]
        for row in found.rows("select * from drift_features")
    }
    assert outcome["same", "x"] == "compared"
    assert outcome["same", "constant"] == "constant"
    assert outcome["same", "empty"] == "missing everywhere"
    assert outcome["three", "x"] == "too few lines"
    assert outcome["none", "x"] == "no lines in the batch"
    assert outcome["without", "gone"] == "disappeared"
    assert outcome["new", "extra"] == "appeared"
    batch = batches(found)
    assert batch["same"]["severity"] == "none"
    assert batch["same"]["drift_score"] == 0
    assert batch["without"]["severity"] == "critical"
    assert batch["without"]["top_feature"] == "gone"
    assert "gone is missing in every line" in batch["without"]["sentence"]
    for name, reason in {"three": "too few lines", "none": "no lines in the batch"}.items():
        assert batch[name]["drift_score"] is None
        assert batch[name]["severity"] == reason
    for row in found.rows("select * from drift_features"):
        numbers = [value for value in row.values() if isinstance(value, float)]
        assert all(math.isfinite(value) for value in numbers), row["feature"]


def test_hostile_values_and_names_are_read_as_they_are(tmp_path: Path) -> None:
    baseline = tmp_path / "base'line.csv"
    rows = [f"{i % 50},{'x' if i % 2 else '<b>;--'},{1 if i % 3 else 'inf'}" for i in range(200)]
    baseline.write_text('"a ""b"" \'c\'",kind,odd\n' + "\n".join(rows) + "\n")
    found = check(str(baseline), str(baseline))
    assert features(found)["a \"b\" 'c'"]["outcome"] == "compared"
    assert features(found)["kind"]["moved_share"] == 0


def test_a_label_says_which_columns_matter(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    signal = rng.normal(size=2_000)
    returned = (rng.random(2_000) < 1 / (1 + np.exp(-2 * signal))).astype(float)
    noise = rng.normal(size=2_000)
    baseline = write(tmp_path / "a.parquet", signal=signal, noise=noise, returned=returned)
    batch = write(tmp_path / "b.parquet", signal=signal, noise=noise + 3, returned=returned)
    found = check(baseline, batch)
    assert found.label == "returned"
    rows = features(found)
    assert rows["signal"]["importance"] == 1
    assert rows["noise"]["importance"] < 0.1
    assert rows["noise"]["moved_share"] > 0.8
    assert rows["noise"]["drift_score"] < 10


@pytest.mark.parametrize(
    ("baseline", "batch", "options", "message"),
    [
        ("nothing.parquet", "a.parquet", {}, "does not exist"),
        ("a.parquet", ".", {}, "is a folder"),
        ("a.parquet", "notes.md", {}, "neither CSV nor Parquet"),
        ("a.parquet", "broken.parquet", {}, "cannot be read"),
        ("a.parquet", "marts.order_lines", {}, "there is no warehouse"),
        ("a.parquet", "a.parquet", {"label": "retuned"}, "Did you mean 'returned'"),
    ],
)
def test_errors_say_what_is_wrong(
    baseline: str,
    batch: str,
    options: dict,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.parquet", x=np.arange(50.0), returned=np.arange(50.0) % 2)
    (tmp_path / "notes.md").write_text("notes")
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(RetourError, match=message):
        check(baseline, batch, **options)


def test_equal_samples_cannot_be_told_apart_and_others_can() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(size=(600, 4)), rng.normal(size=(600, 4))
    same = domain_classifier.tell_apart(one, other, confidence=0.95, random_state=1)
    moved = domain_classifier.tell_apart(one, other + np.eye(4)[0], confidence=0.95, random_state=1)
    assert same and moved
    assert same.lo - 0.02 < 0.5 < same.hi + 0.02
    assert moved.lo > 0.65
    few = domain_classifier.tell_apart(one[:20], other[:20], confidence=0.95, random_state=1)
    assert few is None


# what files are like


def scored(size: int = 800) -> dict[str, NDArray]:
    rng = np.random.default_rng(12)
    price = np.round(rng.lognormal(3, 0.5, size), 2)
    return {"price": price, "returned": (rng.random(size) < price / 60).astype(float)}


def test_a_batch_whose_outcomes_are_not_known_yet_is_not_scored_for_it(tmp_path: Path) -> None:
    rows = scored()
    baseline = write(tmp_path / "a.parquet", **rows)
    without = write(tmp_path / "without.parquet", price=rows["price"])
    half = np.where(np.arange(800) < 400, np.nan, rows["returned"])
    unknown = write(tmp_path / "b.parquet", **{**rows, "returned": np.full(800, np.nan)})
    partly = write(tmp_path / "partly.parquet", **{**rows, "returned": half})
    found = check(baseline, without, unknown, partly)
    for row in batches(found).values():
        assert (row["severity"], row["drift_score"]) == ("none", 0), row["batch"]
    told = {
        row["batch"].rpartition("/")[2]: (row["outcome"], row["sentence"], row["drift_score"])
        for row in found.rows("select * from drift_features where feature = 'returned'")
    }
    assert (
        told["without"]
        == told["b"]
        == (
            "not known yet",
            "return rate: not known yet",
            None,
        )
    )
    assert told["partly"][0] == "compared"
    # the same of a baseline of scores
    found = check(without, baseline)
    assert features(found)["returned"]["outcome"] == "not known yet"


@pytest.mark.parametrize(
    ("name", "other"), [("data[1].csv", "data1.csv"), ("a*.csv", "ab.csv"), ("a?.csv", "ab.csv")]
)
def test_a_file_name_is_no_pattern(name: str, other: str, tmp_path: Path) -> None:
    for file, value in ((name, 7), (other, 3)):
        rows = "\n".join(str(value + i % 2) for i in range(60))
        (tmp_path / file).write_text(f"x\n{rows}\n")
    found = check(str(tmp_path / name), str(tmp_path / other))
    row = features(found)["x"]
    assert (row["baseline_mean"], row["current_mean"]) == (7.5, 3.5)


def test_batches_have_names_of_their_own(tmp_path: Path) -> None:
    files = []
    for file in ("1/d/a.csv", "2/d/a.csv", "d/a 2.csv", "feb/a.csv", "feb/a.v2.csv"):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n" + "\n".join(str(i % 7) for i in range(60)) + "\n")
        files.append(str(path))
    found = check(files[0], *files)
    names = [row["batch"] for row in found.rows("select batch from drift_batches order by batch")]
    other = hashlib.sha256(str(tmp_path / "2/d/a.csv").encode()).hexdigest()[:8]
    assert names == sorted(["d/a", f"d/a {other}", "d/a 2", "feb/a", "feb/a.v2"])


def test_files_of_one_name_keep_their_own_names_from_run_to_run(tmp_path: Path) -> None:
    ops = tmp_path / "it's [ops]"
    files = []
    for file in ("a/jan/orders.csv", "b/jan/orders.csv"):
        path = tmp_path / file
        path.parent.mkdir(parents=True)
        path.write_text("x\n" + "\n".join(str(i % 7) for i in range(60)) + "\n")
        files.append(str(path))
    names = []
    for file in (*files, *files):
        found = check(files[0], file, ops=ops)
        drift.append(found, ops)
        names += [row["batch"] for row in found.rows("select batch from drift_batches")]
    assert names[0] == "jan/orders"
    assert names[1].startswith("jan/orders ")
    assert names[2:] == names[:2]
    # of another source the name is free
    found = check(files[0], files[1], ops=ops, source="other")
    assert [row["batch"] for row in found.rows("select batch from drift_batches")] == ["jan/orders"]


def test_a_check_is_never_called_like_a_week_of_the_source(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute(
            'create schema marts; create table marts."week 2026-06-22" as '
            "select i % 7 as x from range(60) as a (i)"
        )
    with pytest.raises(RetourError, match="what the marts call a week"):
        drift.check(
            "week 2026-06-22",
            ["week 2026-06-22"],
            root=ROOT,
            warehouse=tmp_path / "w.duckdb",
        )
    # nor is one that was left by an earlier version
    with duckdb.connect() as connection:
        drift_models.prepare(connection, ROOT)
        connection.execute(
            "insert into drift_checks (check_id, checked_at, source, batch, batch_grain, feature) "
            "values ('1', '2026-01-01', 's', 'week 2026-06-22', 'check', 'x'), "
            "('1', '2026-01-01', 's', 'd/week 2026-06-22', 'check', 'x')"
        )
        drift_models.run_models(connection, ROOT)
        rows = connection.execute("select batch from drift_features").fetchall()
    assert rows == [("d/week 2026-06-22",)]


def test_column_names_are_those_of_files_not_of_this_program(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    for path, price in ((one, "price"), (other, "Price")):
        rows = [",".join(str(round(value, 3)) for value in rng.normal(size=4)) for _ in range(300)]
        path.write_text(f"{price},part,batch,week_source\n" + "\n".join(rows) + "\n")
    found = check(str(one), str(other))
    assert set(features(found)) == {"price", "part", "batch", "week_source"}
    assert {row["outcome"] for row in features(found).values()} == {"compared"}
    (row,) = found.rows("select * from drift_batches")
    assert row["classifier_auc_lo"] - 0.03 < 0.5 < row["classifier_auc_hi"] + 0.03
    assert set(features(check(str(one), str(other), ignore=["PRICE"]))) == {
        "part",
        "batch",
        "week_source",
    }


def test_a_label_of_other_values_than_0_and_1_is_refused(tmp_path: Path) -> None:
    rows = scored()
    rng = np.random.default_rng(7)
    letters = rng.choice(["a", "b"], 800)
    baseline = write(tmp_path / "a.parquet", **rows, cat=letters, returned_on=rows["price"])
    for label in ("cat", "price"):
        with pytest.raises(RetourError, match=f"The label {label} must be 0 or 1"):
            check(baseline, baseline, label=label)
    # one found by its name alone is left, and that is said
    odd = write(tmp_path / "b.parquet", price=rows["price"], returned=letters)
    found = check(odd, odd)
    assert found.label is None
    assert found.notes == (
        "returned is not 0 or 1 in every line ('a'), so no label: all columns count",
    )
    words = write(
        tmp_path / "c.parquet",
        price=rows["price"],
        back=np.where(rows["returned"], "True", "false"),
    )
    assert check(words, words, label="BACK").label == "back"


def test_a_running_number_is_not_compared_and_that_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    sides = []
    for first in (1, 5_000):
        ids = rng.permutation(np.arange(first, first + 4_000))[:900]
        sides.append(
            {"order_id": ids, "cents": rng.integers(100, 9_999, 900), "x": rng.normal(size=900)}
        )
    found = check(
        write(tmp_path / "a.parquet", **sides[0]), write(tmp_path / "b.parquet", **sides[1])
    )
    assert set(features(found)) == {"cents", "x"}
    assert {one.name: one.reason for one in found.columns if not one.kind} == {
        "order_id": "a running number"
    }
    assert batches(found)["b"]["severity"] == "none"
    printed: list[str] = []
    drift.show(found, printed.append)
    assert printed[-1] == "\nNot compared: order_id (a running number)."


def test_a_category_of_many_members_says_nothing_about_a_random_label(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    size = 5_000
    price = rng.normal(size=size)
    sku = np.array([f"s{one}" for one in rng.integers(0, 401, size)])
    city = rng.choice(list("abc"), size)
    rate = 1 / (1 + np.exp(-0.6 * price - (city == "a")))
    returned = (rng.random(size) < rate).astype(float)
    baseline = write(tmp_path / "a.parquet", price=price, sku=sku, city=city, returned=returned)
    batch = write(tmp_path / "b.parquet", price=price + 1, sku=sku, city=city, returned=returned)
    rows = features(check(baseline, batch))
    assert rows["price"]["importance"] == 1
    assert rows["sku"]["importance"] < 0.1
    assert rows["city"]["importance"] > 0.5
    # where nothing says anything everything counts
    chance = (rng.random(size) < 0.3).astype(float)
    baseline = write(tmp_path / "c.parquet", price=price, sku=sku, returned=chance)
    batch = write(tmp_path / "d.parquet", price=price + 1, sku=sku, returned=chance)
    found = check(baseline, batch)
    assert features(found)["price"]["importance"] == 1
    assert features(found)["price"]["severity"] == "critical"


def test_values_of_another_type_are_not_called_missing(tmp_path: Path) -> None:
    baseline, batch = tmp_path / "a.parquet", tmp_path / "b.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            copy (
                select i % 9 + 0.5 as comma, i % 2 = 0 as flag, i % 9 as struct, i % 9 as letters,
                    i % 9 + 0.5 as infinite, i % 9 + 0.5 as partly,
                    case when i % 5 = 0 then 'A' else cast(i % 5 as varchar) end as code,
                    'k' || i % 3 as name
                from range(300) as a (i)
            ) to '{baseline}' (format parquet)
            """
        )
        connection.execute(
            f"""
            copy (
                select i % 9 || ',5' as comma, case when i % 2 = 0 then 'True' else 'False' end
                    as flag, {{'a': i % 9}} as struct, 'x' || i % 9 as letters,
                    cast('inf' as double) as infinite,
                    case when i % 3 = 0 then '?' else cast(i % 9 as varchar) end as partly,
                    case when i % 5 > 0 then cast(i % 5 as double) end as code,
                    i % 3 as name
                from range(300) as a (i)
            ) to '{batch}' (format parquet)
            """
        )
    found = check(str(baseline), str(batch))
    rows = features(found)
    for name in ("comma", "struct", "letters", "infinite", "name"):
        assert rows[name]["outcome"] == "type changed", name
        assert rows[name]["sentence"] == f"{name} has values of another type, none can be compared"
        assert rows[name]["severity"] == "critical", name
    assert rows["flag"]["outcome"] == "compared"
    assert rows["flag"]["drift_score"] == 0
    assert rows["code"]["unseen_share"] == 0
    assert any(
        note.startswith("partly: 100 of 300 values of") and "no numbers (text)" in note
        for note in found.notes
    )


def test_a_batch_without_lines_has_not_moved_by_0(tmp_path: Path) -> None:
    rows = scored()
    baseline = write(tmp_path / "a.parquet", **rows)
    empty = write(tmp_path / "b.parquet", **{name: side[:0] for name, side in rows.items()})
    found = check(baseline, empty)
    for row in features(found).values():
        assert row["moved_share"] is None
    printed: list[str] = []
    drift.show(found, printed.append)
    assert "0%" not in "\n".join(printed)


def test_a_file_cannot_be_told_from_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    baseline = write(tmp_path / "a.parquet", x=rng.normal(size=700), y=rng.lognormal(size=700))
    (row,) = check(baseline, baseline).rows("select * from drift_batches")
    assert row["classifier_auc"] == pytest.approx(0.5, abs=0.02)
    # equal rows do not hide what did move
    one = rng.integers(0, 10, (700, 1)).astype(float)
    other = np.where(rng.random((700, 1)) < 0.5, 9, one)
    told = domain_classifier.tell_apart(one, other, confidence=0.95, random_state=1)
    assert told and told.lo > 0.6


def test_a_file_in_another_encoding_is_named_as_such(tmp_path: Path) -> None:
    good, early, late = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.csv"
    rows = [f"{i % 50},city" for i in range(60)]
    good.write_text("x,y\n" + "\n".join(rows) + "\n")
    early.write_bytes(("x,y\n1,Orléans\n" + "\n".join(rows) + "\n").encode("latin-1"))
    late.write_bytes(("x,y\n" + "\n".join(rows * 1_000) + "\n1,Orléans\n").encode("latin-1"))
    for file in (early, late):
        with pytest.raises(RetourError, match="not encoded as UTF-8"):
            check(str(good), str(file))
    # what breaks behind the lines that told the types is said, not thrown
    late.write_text("x,y\n" + "\n".join(rows * 1_000) + "\nmany,city\n")
    with pytest.raises(RetourError, match="many"):
        check(str(good), str(late))


# the published batches


def test_the_page_on_claims_is_what_the_files_say() -> None:
    if not PUBLISHED.is_dir():
        pytest.skip(f"there is no {PUBLISHED}")
    page = drift_claims.PAGE.read_text(encoding="utf-8")
    assert drift_claims.block(page) == drift_claims.table(PUBLISHED)
    assert "| measured | | warning | critical | critical |" in page


# the command, and the next build


def test_the_command_prints_a_table_and_leaves_its_figures_for_the_next_build(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(4)
    baseline = write(tmp_path / "train.parquet", discount_percentage=rng.integers(0, 31, 900))
    batch = write(tmp_path / "sale.parquet", discount_percentage=rng.integers(40, 81, 400))
    arguments = ["drift", "--baseline", baseline, "--batch", batch]
    arguments += ["--warehouse", str(tmp_path / "warehouse.duckdb")]
    done = click.testing.CliRunner().invoke(cli.main, arguments)
    assert done.exit_code == 0, done.output
    assert "critical" in done.output
    assert "average discount 15" in done.output
    (file,) = (tmp_path / "ops" / "drift_checks").iterdir()
    with duckdb.connect() as connection:
        drift_models.prepare(connection, ROOT)
        # as landing does, twice: a check that is there twice counts once
        for _ in range(2):
            connection.execute(f"insert into drift_checks by name from read_parquet('{file}')")
        connection.execute("update drift_checks set checked_at = '2026-01-01' where rowid > 0")
        drift_models.run_models(connection, ROOT)
        rows = connection.execute(
            "select source, batch, batch_grain, severity, top_feature, as_of_date "
            "from drift_batches"
        ).fetchall()
    today = dt.datetime.now(dt.UTC).date()
    assert [(*row[:5], row[5] <= today) for row in rows] == [
        ("files", f"{tmp_path.name}/sale", "check", "critical", "discount_percentage", True)
    ]


# the demo


def test_the_flash_sale_and_the_supply_crisis_are_found_in_their_weeks_and_nothing_else(
    demo: Build,
) -> None:
    with duckdb.connect(str(demo.warehouse), read_only=True) as warehouse:
        truth = demo.folder / "truth" / "demo" / "incidents.parquet"
        incidents = warehouse.execute(
            f"select kind, cast(starts_on as date), cast(ends_on as date) from '{truth}' order by 2"
        ).fetchall()
        critical = warehouse.execute(
            "select batch_start, batch_end, top_feature from marts.drift_batches "
            "where severity = 'critical' order by batch_start"
        ).fetchall()
    days = [
        (start, end)
        for start, end, _ in critical
        if not any(first <= end and start <= last for _, first, last in incidents)
    ]
    assert days == []
    for _, first, last in incidents:
        assert any(start <= first <= end for start, end, _ in critical), (first, last)
    assert {feature for *_, feature in critical} <= {
        "discount_share",
        "deep_discount",
        "late_delivery",
        "delivery_days",
    }


def test_weeks_after_an_incident_are_held_against_weeks_that_were_in_order(demo: Build) -> None:
    with duckdb.connect(str(demo.warehouse), read_only=True) as warehouse:
        truth = demo.folder / "truth" / "demo" / "incidents.parquet"
        odd = warehouse.execute(
            "select week_start_date from intermediate.int_drift_weeks order by 1"
        ).fetchall()
        during = warehouse.execute(
            f"""
            select distinct week_start_date
            from (
                select cast(unnest(range(0, 1000, 7)) as int) + date '2024-12-30'
                    as week_start_date
            )
            inner join read_parquet('{truth}') as incidents
                on week_start_date <= cast(ends_on as date)
                and cast(starts_on as date) <= week_start_date + 6
            where incidents.kind in ('flash_sale', 'supply_crisis') order by 1
            """
        ).fetchall()
        assert odd == during
        used = warehouse.execute(
            "select count(*) from intermediate.int_drift_comparisons "
            "inner join intermediate.int_drift_weeks "
            "on part = 'reference' and reference = 'recent' and period_start = week_start_date"
        ).fetchall()
        assert used == [(0,)]
        sale = warehouse.execute(
            "select batch_start from marts.drift_features where q_value <= 0.05 "
            "and feature in ('discount_share', 'deep_discount') and batch_grain = 'week'"
        ).fetchall()
        assert set(sale) == {odd[0]}
        # each week of the crisis is judged against what was usual before it
        late = warehouse.execute(
            "select baseline_mean, severity from marts.drift_features "
            "inner join intermediate.int_drift_weeks on batch_start = week_start_date "
            "where feature = 'late_delivery' and batch_grain = 'week' and batch_start > ?",
            odd[0],
        ).fetchall()
    assert len(late) == 3
    for usual, severity in late:
        assert severity == "critical"
        assert usual < 0.12


FEW_VALUES = ("quantity", "basket_lines", "customer_orders_before", "promised_days", "is_guest")
SKEWED = (
    *("unit_price", "basket_value", "price_to_product", "price_to_customer", "discount_share"),
    *("customer_days_since_order", "product_lines_before"),
)
LINES = """
    select cast({name} as double) as value, date_trunc('week', ordered_date) as week
    from (select * replace (cast(is_guest as int) as is_guest) from marts.return_features)
    where coalesce(label_return_class, '') not in ('cancelled', 'undelivered')
"""


@pytest.mark.parametrize("name", (*FEW_VALUES, *SKEWED))
def test_statistics_of_the_demo_are_those_of_its_lines(name: str, demo: Build) -> None:
    """Two weeks against the weeks before, by scipy on the lines: exact where values are few."""
    with duckdb.connect(str(demo.warehouse), read_only=True) as warehouse:
        for week in ("2026-04-20", "2025-11-10"):
            one, other = (
                warehouse.execute(
                    f"select value from ({LINES.format(name=name)}) where week in ("
                    "select period_start from intermediate.int_drift_comparisons "
                    "where batch = ? and reference = 'recent' and part = ?) order by value",
                    [f"week {week}", part],
                ).fetchnumpy()["value"]
                for part in ("reference", "batch")
            )
            one, other = (np.ma.filled(side.astype(float), np.nan) for side in (one, other))
            found = warehouse.execute(
                "select ks_statistic, wasserstein, psi, js_distance, chi_square "
                "from intermediate.int_drift_statistics "
                "where batch = ? and reference = 'recent' and feature = ?",
                [f"week {week}", name],
            ).fetchall()[0]
            p, q = binned(one, other)
            js = spatial.distance.jensenshannon(p / p.sum(), q / q.sum(), base=2)
            p, q = ((side + 0.5) / (side.sum() + 0.5 * len(side)) for side in (p, q))
            wanted = (
                stats.ks_2samp(known(one), known(other)).statistic,
                stats.wasserstein_distance(known(one), known(other)) / known(one).std(),
                ((q - p) * np.log(q / p)).sum(),
                js,
            )
            if name in FEW_VALUES:
                assert found[:4] == pytest.approx(wanted, abs=1e-9), week
            else:
                # what the steps may hide
                assert found[0] == pytest.approx(wanted[0], abs=0.006), week
                assert found[1] == pytest.approx(wanted[1], abs=0.002), week
                assert found[2] == pytest.approx(wanted[2], abs=0.012), week


def test_no_step_holds_many_lines_beside_those_of_one_value(
    demo: Build,
) -> None:
    """The steps in their order deal out the lines in theirs."""
    hidden = {}
    with duckdb.connect(str(demo.warehouse), read_only=True) as warehouse:
        names = warehouse.execute(
            "select distinct feature from intermediate.int_drift_cells where kind = 'number' "
            "and feature not in ('deep_discount', 'late_delivery', 'rating', 'return_rate', "
            "'delivery_days')"
        ).fetchall()
        for (name,) in names:
            steps = warehouse.execute(
                "select value, cast(sum(lines) as bigint) as lines "
                "from intermediate.int_drift_cells where period_grain = 'week' and feature = ? "
                "and value is not null group by all order by value",
                [name],
            ).fetchnumpy()
            values = warehouse.execute(
                f"select round(value, 4) as value from ({LINES.format(name=name)}) "
                "where value is not null order by 1"
            ).fetchnumpy()["value"]
            assert steps["lines"].sum() == len(values)
            parts = np.split(values, np.cumsum(steps["lines"])[:-1])
            beside = max(len(part) - np.unique(part, return_counts=True)[1].max() for part in parts)
            hidden[name] = beside / len(values)
    assert len(hidden) > 30
    assert {name: share for name, share in hidden.items() if share > 0.035} == {}
