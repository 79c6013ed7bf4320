"""marts.customer_value: published parameters, a simulation, SQL against Python, a hold-out.

The CDNOW customers come with a package of the index, which is fetched into pytest's cache and never
installed.
"""

import csv
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import duckdb
import numpy as np
import pytest

from data.generate import generate
from ml import lifetime_value
from tests import support
from tests.support import Build

Connection = duckdb.DuckDBPyConnection

CDNOW = (
    "lifetimes==0.11.3"
    " --hash=sha256:261e3dc89977c2b60767ca6728aaa29d429de0c814635070a749c36555895da8\n"
)
DATASETS = "lifetimes/datasets/cdnow_customers_summary"


@pytest.fixture(scope="module")
def cdnow(pytestconfig: pytest.Config) -> zipfile.ZipFile:
    """The package that holds the CDNOW customers; skipped without an index, never in CI."""
    folder = Path(pytestconfig.cache.mkdir("cdnow"))
    (folder / "cdnow.txt").write_text(CDNOW)
    if not list(folder.glob("*.whl")):
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            "--dest",
            ".",
        ]
        result = subprocess.run(
            [*command, "--require-hashes", "--requirement", "cdnow.txt"],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        if result.returncode and os.environ.get("CI") != "true":
            pytest.skip(f"the CDNOW data could not be fetched: {result.stderr[-200:]}")
        assert result.returncode == 0, result.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def numbers(package: zipfile.ZipFile, name: str, *columns: str) -> list[np.ndarray]:
    """Columns of a CSV file in the package."""
    rows = list(csv.DictReader(io.TextIOWrapper(package.open(f"{DATASETS}{name}.csv"))))
    return [np.array([float(row[column]) for row in rows]) for column in columns]


def test_cdnow_has_the_published_parameters(cdnow: zipfile.ZipFile) -> None:
    """Fader, Hardie, Lee 2005; Batislam and others 2007; Fader, Hardie 2013."""
    x, t_x, t = numbers(cdnow, "", "frequency", "recency", "T")
    everybody = {"repeats": x, "last": t_x, "age": t, "weight": np.ones(len(x))}
    model = lifetime_value.fit_bg_nbd(**everybody)
    found = (model.r, model.alpha, model.a, model.b)
    assert found == pytest.approx((0.243, 4.414, 0.793, 2.426), rel=0.01)
    model = lifetime_value.fit_bg_nbd(**everybody, first=1)
    found = (model.r, model.alpha, model.a, model.b)
    assert found == pytest.approx((0.525, 6.183, 0.891, 1.614), rel=0.01)

    x, value = numbers(cdnow, "_with_transactions", "x", "zbar")
    bought = (x > 0) & (value > 0)
    money = lifetime_value.fit_gamma_gamma(
        repeats=x[bought], value=value[bought], weight=np.ones(bought.sum())
    )
    assert (money.p, money.q, money.v) == pytest.approx((6.25, 3.74, 15.44), rel=0.01)


@pytest.mark.parametrize("first", [0, 1])
def test_a_simulated_shop_is_recovered_and_foretold(first: int) -> None:
    """Customers who buy and leave one by one as the model says, replayed in plain Python."""
    rng = np.random.default_rng(1)
    truth = {"r": 0.8, "alpha": 20.0, "a": 0.9, "b": 3.0}
    horizon, rows = 90.0, []
    for _ in range(12_000):
        rate = rng.gamma(truth["r"], 1 / truth["alpha"])
        leaving = rng.beta(truth["a"], truth["b"])
        age, at, days = rng.uniform(100, 300), 0.0, []
        alive = not (first and rng.random() < leaving)
        while alive:
            at += rng.exponential(1 / rate)
            if at > age + horizon:
                break
            days.append(at)
            alive = rng.random() >= leaving
        before = [day for day in days if day <= age]
        still = alive if len(days) == len(before) else True
        last = before[-1] if before else 0.0
        rows.append((len(before), last, age, len(days) - len(before), still))
    x, t_x, t, later, alive = (np.array(column, float) for column in zip(*rows, strict=True))
    seen = {"repeats": x, "last": t_x, "age": t}
    model = lifetime_value.fit_bg_nbd(**seen, weight=np.ones(len(x)), first=first)
    assert (model.r, model.alpha) == pytest.approx((truth["r"], truth["alpha"]), rel=0.1)
    leaves = truth["a"] / (truth["a"] + truth["b"])
    assert model.a / (model.a + model.b) == pytest.approx(leaves, rel=0.1)
    p_alive = lifetime_value.probability_alive(model, **seen)
    assert p_alive.mean() == pytest.approx(alive.mean(), abs=0.02)
    expected = p_alive * lifetime_value.expected_if_alive(model, repeats=x, age=t, horizon=horizon)
    for few, many in ((0, 0), (1, 2), (3, 1000)):
        inside = (x >= few) & (x <= many)
        assert expected[inside].sum() == pytest.approx(later[inside].sum(), rel=0.07)
    assert expected.sum() == pytest.approx(later.sum(), rel=0.04)


def test_equal_customers_counted_together_fit_the_same() -> None:
    rng = np.random.default_rng(2)
    x = rng.poisson(2, 500).astype(float)
    t = rng.integers(100, 110, 500).astype(float)
    t_x = np.where(x > 0, np.round(t / 2), 0)
    cells, counts = np.unique(np.column_stack([x, t_x, t]), axis=0, return_counts=True)
    one = lifetime_value.fit_bg_nbd(repeats=x, last=t_x, age=t, weight=np.ones(500))
    other = lifetime_value.fit_bg_nbd(
        repeats=cells[:, 0], last=cells[:, 1], age=cells[:, 2], weight=counts.astype(float)
    )
    assert other.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-6)


@pytest.mark.parametrize("warehouse", ["marts", "online_retail_marts"])
def test_sql_is_python(warehouse: str, request: pytest.FixtureRequest) -> None:
    """Probabilities and values of every customer, from the parameters alone."""
    marts = request.getfixturevalue(warehouse)
    parameters: dict[str, dict[str, float]] = {}
    for model, name, value in marts.execute(
        """
        select model, name, value from private.ml_lifetime_value
        where record = 'parameter' and trained_on = (select max(as_of_date) from marts.orders)
        """
    ).fetchall():
        parameters.setdefault(model, {})[name] = value
    ((family, scale),) = marts.execute(
        "select model, scale from marts.model_runs where task = 'value' and is_champion"
    ).fetchall()
    columns = marts.execute(
        """
        select customer_value.*, repeat_margin_before, repeat_margin_after
        from marts.customer_value
        inner join intermediate.int_customer_margins using (source, customer_id)
        """
    ).fetchnumpy()
    fit = parameters[family]
    model = lifetime_value.BgNbd(
        *(fit[name] for name in ("r", "alpha", "a", "b")), int(fit["first"]), 0.0
    )
    x = columns["purchase_day_count"].astype(float) - 1
    last, age = columns["last_repeat_days"].astype(float), columns["tenure_days"].astype(float)
    p_alive = lifetime_value.probability_alive(model, repeats=x, last=last, age=age)
    np.testing.assert_allclose(columns["p_alive"], p_alive, rtol=1e-9)
    by_month = [
        p_alive
        * lifetime_value.expected_if_alive(model, repeats=x, age=age, horizon=month * 365.25 / 12)
        for month in range(13)
    ]
    np.testing.assert_allclose(columns["expected_purchases"], scale * by_month[12], rtol=1e-9)
    discounted = scale * sum(
        (by_month[month] - by_month[month - 1]) / 1.1 ** ((month - 0.5) / 12)
        for month in range(1, 13)
    )
    np.testing.assert_allclose(columns["discounted_purchases"], discounted, rtol=1e-9)
    for basis in ("before", "after"):
        fit = parameters[f"gamma_gamma_{basis}"]
        money = lifetime_value.GammaGamma(fit["p"], fit["q"], fit["v"])
        mean = columns[f"repeat_margin_{basis}"].astype(float) / np.maximum(x, 1)
        value = discounted * lifetime_value.expected_value(money, repeats=x, value=mean)
        np.testing.assert_allclose(
            columns[f"clv_{basis}_returns"].astype(float), value, rtol=1e-9, atol=1e-4
        )
    # purchases after the first cost more than they bring for some, and returns cost everywhere
    assert columns["clv_after_returns"].sum() < columns["clv_before_returns"].sum()


def test_margins_are_those_of_the_ledger(marts: Connection) -> None:
    """Recomputed line by line: what was sold after the first day that something was kept of."""
    differing, checked = marts.execute(
        """
        with lines as (
            select order_lines.*, unit_cost, return_cost_mid
            from marts.order_lines
            inner join marts.products using (source, product_id)
            left join (
                from intermediate.int_line_return_costs select order_line_id, return_cost_mid
                where order_line_id is not null
            ) using (order_line_id)
            where is_sale and customer_id is not null
        ),
        rates as (
            select sum(
                refund_amount - round(returned_quantity * unit_cost, 4)
                + coalesce(return_cost_mid, 0)
            )::double / sum(net_amount)::double as rate
            from lines where is_mature
        ),
        firsts as (
            select customer_id, min(ordered_date) as first_date from lines
            where returned_quantity < quantity group by customer_id
        ),
        margins as (
            select customer_id,
                sum(net_amount - round(quantity * unit_cost, 4)) as before,
                sum(
                    net_amount - round(quantity * unit_cost, 4)
                    - refund_amount + round(returned_quantity * unit_cost, 4)
                    - coalesce(return_cost_mid, 0)
                    - (1 - maturity)::double * rate * net_amount::double
                ) as after
            from lines inner join firsts using (customer_id) cross join rates
            where ordered_date > first_date
            group by customer_id
        )
        select count(*) filter (
            abs(repeat_margin_before::double - coalesce(before, 0)::double) > 0.01
            or abs(repeat_margin_after::double - coalesce(after, 0)) > 0.01
        ), count(before)
        from intermediate.int_customer_margins left join margins using (customer_id)
        """
    ).fetchone()
    assert checked > 3000
    assert differing == 0


def test_the_hold_out_of_a_still_world_comes_as_expected(marts: Connection, tmp_path: Path) -> None:
    """No season, growth or trend: all purchases of five months together within 5 %.

    The demo grows by 40 % a year while its customers live shorter in it: its figure is printed.
    """
    still = Build(tmp_path, sources=("still",))
    generate(
        tmp_path, source="still", lines=240_000, days=1000, seed=3, stationary=True, quiet=True
    )
    support.build(
        still,
        *(*support.WITHOUT_UNIT_TESTS, "--exclude-resource-type", "test"),
        *("--select", "+model_metrics", "+model_runs"),
    )
    question = """
        select entity_id, model, value, lo, hi from marts.model_metrics
        where task = 'value' and metric = 'expected_to_actual' order by model, entity_id
    """
    found = {row[:2]: row[2:] for row in support.query(still, question)}
    demo = {row[:2]: row[2:] for row in marts.execute(question).fetchall()}
    for name, world in (("still", found), ("demo", demo)):
        for (part, model), (value, lo, hi) in world.items():
            print(f"{name:6} {model:18} {part:10} {value:.3f} ({lo:.3f} to {hi:.3f})")
    ((champion,),) = support.query(
        still, "select model from marts.model_runs where task = 'value' and is_champion"
    )
    assert found["all", champion][0] == pytest.approx(1, abs=0.05)
    # by frequency, and better than going on as before
    for part in ("0", "1", "2", "3 to 4", "5 or more"):
        assert found[part, champion][0] == pytest.approx(1, abs=0.15)
    assert abs(found["all", "past_rate"][0] - 1) > 0.5
