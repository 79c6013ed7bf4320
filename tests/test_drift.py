"""Drift: statistics against scipy, odd inputs, the published batches, the demo's incidents."""

import datetime as dt
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
    batches = [
        write(tmp_path / "same.parquet", **rows),
        write(tmp_path / "three.parquet", **{name: values[:3] for name, values in rows.items()}),
        write(tmp_path / "none.parquet", **{name: values[:0] for name, values in rows.items()}),
        write(tmp_path / "without.parquet", **without),
        write(tmp_path / "new.parquet", **rows, extra=rng.normal(size=400)),
    ]
    found = check(baseline, *batches)
    outcome = {
        (row["batch"], row["feature"]): row["outcome"]
        for row in found.rows("select * from drift_features")
    }
    assert outcome["same", "x"] == "compared"
    assert outcome["same", "constant"] == "constant"
    assert outcome["same", "empty"] == "missing everywhere"
    assert outcome["three", "x"] == "too few lines"
    assert outcome["none", "x"] == "no lines in the batch"
    assert outcome["without", "gone"] == "disappeared"
    assert outcome["new", "extra"] == "appeared"
    batch = {row["batch"]: row for row in found.rows("select * from drift_batches")}
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
    rows = [f"{i},{'x' if i % 2 else '<b>;--'},{1 if i % 3 else 'inf'}" for i in range(200)]
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
        ("files", "sale", "check", "critical", "discount_percentage", True)
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
