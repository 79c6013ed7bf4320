"""Risk of sellers and products: the SQL against scipy, a slow replay, real totals, poor sources."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterator

import duckdb
import numpy as np
import pytest
from scipy import stats

from data.generate import generate
from proofs import sellers as proof
from tests import support
from tests.support import SHARED, Build

Connection = duckdb.DuckDBPyConnection

AGGREGATES = SHARED / "data" / "dmc2014_aggregates"
PRIOR_LINES = 30
BENCHMARK_LINES = 50
CONFIDENCE = 0.95


def columns(connection: Connection, sql: str) -> dict[str, np.ndarray]:
    """The columns of a query; NULL becomes nan in numbers."""
    found = connection.execute(sql).fetchnumpy()
    return {
        name: column.filled(np.nan) if np.ma.isMaskedArray(column) else column
        for name, column in found.items()
    }


# distributions


def assert_intervals_equal_scipy(connection: Connection) -> int:
    """Compare every interval with scipy's quantiles of the same distribution; how many."""
    rows = columns(
        connection,
        "select returned_weight as a, kept_weight as b, chance, lo, hi, shrunk_ratio "
        "from intermediate.int_risk_posteriors",
    )
    for name, share in (("lo", 1 - CONFIDENCE), ("hi", 1 + CONFIDENCE)):
        exact = stats.beta.ppf(share / 2, rows["a"], rows["b"]) / rows["chance"]
        np.testing.assert_allclose(rows[name], exact, rtol=1e-3, atol=1e-3)
    mean = stats.beta.mean(rows["a"], rows["b"]) / rows["chance"]
    np.testing.assert_allclose(rows["shrunk_ratio"], mean, rtol=1e-9)
    return len(mean)


def test_intervals_equal_scipy(marts: Connection) -> None:
    assert assert_intervals_equal_scipy(marts) > 1000


def test_intervals_equal_scipy_also_where_peers_know_next_to_nothing(demo: Build) -> None:
    """The macros on parameters from 2 to 100,000, small and skewed ones too."""
    with duckdb.connect() as connection:
        connection.execute("create schema intermediate; create schema policy")
        connection.execute(f"attach '{demo.warehouse}' as demo (read_only)")
        for seed in ("policy_parameters", "policy_confidence_levels"):
            connection.execute(f"create table policy.{seed} as from demo.policy.{seed}")
        # one entity per row, whose own lines are all that counts: spreads as wide as they may be
        connection.execute(
            """
            create table intermediate.int_risk_spreads as
            from demo.intermediate.int_risk_spreads limit 0
            """
        )
        connection.execute(
            """
            create table intermediate.int_risk_entities as
            select
                'many' as source, 'product' as entity_type, number::text as entity_id,
                365::bigint as window_days, 'c' as main_category, 'small' as size_class,
                1::bigint as compared_lines,
                least(pow(10, (number % 50) / 12.5), trials)::bigint as observed,
                1.0::double as exposure, 1.0::double as expected, 1.0::double as expected_final,
                dispersion, chance, trials, 1.0::double as ratio, 0.1::double as ratio_variance,
                true as is_sufficient
            from (
                select number,
                    (0.01 + (number % 37) / 40.0)::double as chance,
                    pow(10, (number % 61) / 12.2)::double as trials,
                    1 + (number % 3)::double as dispersion
                from range(20000) as numbers (number)
            )
            """
        )
        model = demo.manifest["nodes"]["model.retour.int_risk_posteriors"]["compiled_code"]
        database = demo.warehouse.stem
        model = model.replace(f'"{database}".', "")
        connection.execute(f"create table intermediate.int_risk_posteriors as {model}")
        assert assert_intervals_equal_scipy(connection) == 20000


def test_q_values_equal_scipy(marts: Connection) -> None:
    rows = columns(
        marts, "select source, entity_type, p_value, q_value from intermediate.int_risk_tests"
    )
    families = set(zip(rows["source"], rows["entity_type"], strict=True))
    assert {entity for _, entity in families} == {"seller", "product", "category", "marketplace"}
    for source, entity in families:
        chosen = (rows["source"] == source) & (rows["entity_type"] == entity)
        exact = stats.false_discovery_control(rows["p_value"][chosen])
        np.testing.assert_allclose(rows["q_value"][chosen], exact, rtol=0, atol=1e-9)


def test_p_values_are_binomial_tails_widened_by_what_ordinary_entities_differ(
    marts: Connection,
) -> None:
    rows = columns(
        marts,
        """
        select p_value, z_score, observed, trials, chance, expected, dispersion, null_spread
        from intermediate.int_risk_tests
        inner join intermediate.int_risk_posteriors
            using (source, entity_type, entity_id, window_days)
        where observed > 0
        """,
    )
    # P(binomial >= observed); trials need not be whole
    kept = np.maximum(rows["trials"] - rows["observed"] + 1, 1)
    tail = stats.beta.cdf(rows["chance"], rows["observed"], kept)
    widening = np.sqrt(
        rows["dispersion"] + rows["null_spread"] ** 2 * rows["expected"] / (1 - rows["chance"])
    )
    common = (rows["observed"] >= 5) & (tail > 0.001) & (tail < 0.999)
    assert common.sum() > 200
    deviates = rows["z_score"] * widening
    # a fiftieth of a tail of 0.001
    np.testing.assert_allclose(deviates[common], stats.norm.isf(tail[common]), atol=0.006)
    np.testing.assert_allclose(rows["p_value"], stats.norm.sf(rows["z_score"]), rtol=1e-8)


def test_funnel_limits_are_quantiles_around_one(marts: Connection) -> None:
    rows = columns(
        marts,
        """
        select funnel_inner_lo, funnel_inner_hi, funnel_outer_lo, funnel_outer_hi, ratio_variance,
            posteriors.null_spread
        from marts.seller_risk
        inner join intermediate.int_risk_posteriors as posteriors
            on posteriors.entity_type = 'seller' and posteriors.entity_id = seller_risk.seller_id
            and posteriors.source = seller_risk.source
            and posteriors.window_days = seller_risk.window_days
        where is_sufficient
        """,
    )
    shape = 1 / (rows["ratio_variance"] + rows["null_spread"] ** 2)
    # Wilson and Hilferty's approximation, worst where the funnel is widest
    for name, share in (("inner", 0.95), ("outer", 0.998)):
        for side, tail in (("lo", (1 - share) / 2), ("hi", (1 + share) / 2)):
            exact = stats.gamma.ppf(tail, shape, scale=1 / shape)
            np.testing.assert_allclose(rows[f"funnel_{name}_{side}"], exact, rtol=0.01, atol=0.02)


# observed and expected


def replay(marts: Connection, window: int) -> dict[str, tuple[int, float]]:
    """Observed and expected returns of every seller, line by line and with nothing remembered."""
    lines = marts.execute(
        """
        with lines as (
            select order_lines.*, coalesce(order_lines.category, 'unknown') as kind,
                sum(order_lines.net_amount) over (partition by order_lines.source, kind)
                / sum(order_lines.quantity) over (partition by order_lines.source, kind)
                    as usual_price,
                customers.first_ordered_at
            from marts.order_lines
            left join marts.customers using (source, customer_id)
            where order_lines.is_sale and order_lines.age_days < 455
        )
        select seller_id, kind, (net_amount / quantity / usual_price)::double,
            quarter(ordered_date), coalesce(country, 'unknown'),
            case when customer_id is null then 'guest'
                when first_ordered_at::date < ordered_date then 'returning' else 'new' end,
            returned_quantity > 0, maturity::double
        from lines
        where age_days < ? and maturity is not null and return_class <> 'unknown'
        """,
        [window],
    ).fetchall()
    sums: list[dict] = [defaultdict(lambda: [0.0, 0.0]) for _ in range(4)]
    own: dict[str, list] = defaultdict(lambda: [defaultdict(lambda: [0.0, 0.0]) for _ in range(4)])
    for seller, kind, price, season, country, customer, is_returned, maturity in lines:
        band = "low" if price < 0.7 else "middle" if price < 1.4 else "high"
        strata = ((), (kind,), (kind, band, season), (kind, band, season, country, customer))
        for level, stratum in enumerate(strata):
            for counts in (sums[level][stratum], own[seller][level][stratum]):
                counts[0] += is_returned
                counts[1] += maturity
    found = {}
    for seller, levels in own.items():
        observed, expected = 0, 0.0
        for stratum, (returned, exposure) in levels[3].items():
            parents = [(), stratum[:1], stratum[:3], stratum]
            others = [
                [
                    one - other
                    for one, other in zip(sums[level][key], levels[level][key], strict=True)
                ]
                for level, key in enumerate(parents)
            ]
            if others[1][1] < BENCHMARK_LINES:
                continue
            rate = others[0][0] / others[0][1]
            for came, exposed in others[1:]:
                rate = (came + PRIOR_LINES * rate) / (exposed + PRIOR_LINES)
            observed += int(returned)
            expected += rate * exposure
        found[seller] = observed, expected
    return found


@pytest.mark.parametrize("window", [90, 365])
def test_expected_returns_are_what_the_others_lines_of_the_same_cells_did(
    marts: Connection, window: int
) -> None:
    rows = marts.execute(
        "select seller_id, observed, expected from marts.seller_risk where window_days = ?",
        [window],
    ).fetchall()
    replayed = replay(marts, window)
    assert len(rows) == len(replayed) == 60
    for seller, observed, expected in rows:
        assert observed == replayed[seller][0]
        assert expected == pytest.approx(replayed[seller][1], abs=1e-4)


def test_the_known_faults_of_the_demo_are_found(demo: Build, marts: Connection) -> None:
    rows = marts.execute(
        f"""
        select risk_tier, shrunk_ratio, rate_multiplier
        from marts.seller_risk
        inner join read_parquet('{demo.folder}/truth/demo/sellers.parquet') using (seller_id)
        where window_days = 365
        """
    ).fetchall()
    high = [truth for tier, _, truth in rows if tier == "high"]
    assert high and min(high) > 1.5
    worst = max(rows, key=lambda row: row[2])
    assert worst[0] == "high"
    ranks = stats.spearmanr([row[1] for row in rows], [row[2] for row in rows]).statistic
    assert ranks > 0.6


def test_one_more_return_moves_the_guess_by_one_return(marts: Connection) -> None:
    rows = columns(
        marts,
        "select returned_weight as a, kept_weight as b, chance, dispersion, shrunk_ratio, "
        "shrunk_ratio_with_one_more as more from intermediate.int_risk_posteriors",
    )
    more = (rows["a"] + 1 / rows["dispersion"]) / (rows["a"] + rows["b"]) / rows["chance"]
    np.testing.assert_allclose(rows["more"], more, rtol=1e-9)
    assert (rows["more"] > rows["shrunk_ratio"]).all()


# real totals of a fashion shop


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """One half of the returns of the Data Mining Cup 2014 judged; table `truth` has the other.

    The files hold totals per manufacturer, item and customer, no lines: every kept and every
    returned line is put into either half by the toss of a coin, so the halves are binomial.
    """
    if not AGGREGATES.exists():
        pytest.skip("the aggregates are not beside this repository (../shared/data)")
    folder = tmp_path_factory.mktemp("halves")
    rng = np.random.default_rng(2014)
    totals = {}
    with duckdb.connect() as connection:
        for name in ("manufacturer", "item", "customer"):
            rows = connection.execute(
                f"select {name}ID, total_returns::double, total_orders::double "
                f"from read_parquet('{AGGREGATES}/{name}_returns.parquet') order by 1"
            ).fetchnumpy()
            totals[name] = [np.asarray(column) for column in rows.values()]

    def write(connection: Connection) -> None:
        connection.execute(
            "create table truth (source text, entity_id text, returned int, lines int, "
            "other_returned int, other_lines int)"
        )
        for name, (ids, returned, ordered) in totals.items():
            returned, kept = returned.astype(int), (ordered - returned).astype(int)
            half, half_kept = rng.binomial(returned, 0.5), rng.binomial(kept, 0.5)
            drawn = {
                "id": ids.astype(str),
                "returned": half,
                "lines": half + half_kept,
                "other_returned": returned - half,
                "other_lines": returned - half + kept - half_kept,
            }
            connection.register("drawn", drawn)
            connection.execute("insert into truth select ?, * from drawn", [name])
            connection.unregister("drawn")
        connection.execute(
            """
            create table intermediate.int_risk_cells as
            with cells as (
                select source, 'seller' as entity_type, entity_id, lines, returned
                from truth where lines > 0
                union all
                select source, 'all', 'all', sum(lines), sum(returned) from truth group by source
            )
            select source, entity_type, entity_id, 365::bigint as window_days,
                'fashion' as category, 1::bigint as stratum_1, 1::bigint as stratum_2,
                1::bigint as stratum_3, lines::bigint as compared_lines,
                returned::bigint as returned_lines, lines::decimal(18, 6) as exposure,
                lines::decimal(18, 6) as squares
            from cells
            """
        )
        proof.surround(connection)

    warehouse = proof.judge_cells(folder, write)
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        yield connection


@pytest.mark.parametrize("source", ["manufacturer", "item", "customer"])
def test_shrunk_rates_of_one_half_predict_the_other_better_than_raw_ones(
    halves: Connection, source: str
) -> None:
    rows = columns(
        halves,
        f"""
        select observed_rate, shrunk_ratio * expected_final / seller_risk.lines as shrunk_rate,
            other_returned / other_lines as other_rate, other_lines
        from marts.seller_risk
        inner join truth on truth.source = seller_risk.source and entity_id = seller_id
        where seller_risk.source = '{source}' and other_lines > 0
        """,
    )
    assert len(rows["other_rate"]) > 100

    def error(rate: np.ndarray) -> float:
        return float(np.sqrt(np.average((rate - rows["other_rate"]) ** 2)))

    print(
        f"{source}: raw {error(rows['observed_rate']):.4f}, shrunk {error(rows['shrunk_rate']):.4f}"
    )
    assert error(rows["shrunk_rate"]) < error(rows["observed_rate"])


def test_intervals_of_real_totals_equal_scipy(halves: Connection) -> None:
    assert assert_intervals_equal_scipy(halves) > 30_000


# sources that have little to say


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Three small sources: without sellers, with a single one, and with one that has just begun."""
    build = Build(tmp_path_factory.mktemp("poor"), sources=("nobody", "alone", "beginner"))
    for source in build.sources:
        generate(build.folder, source=source, lines=3000, sellers=1 if source == "alone" else 8)
        file = build.raw / source / "order_lines.csv"
        with file.open(encoding="utf-8", newline="") as text:
            header, *rows = csv.reader(text)
        seller, day = header.index("seller_id"), header.index("ordered_at")
        for row in rows:
            if len(row) == len(header) and source == "nobody":
                row[seller] = ""
        if source == "beginner":
            good = [row for row in rows if len(row) == len(header) and row[day] < "2026-07"]
            for row in sorted(good, key=lambda row: row[day])[-5:]:
                row[seller] = "NEW"
        with file.open("w", encoding="utf-8", newline="") as text:
            csv.writer(text).writerows([header, *rows])
    support.build(build, "--exclude-resource-type", "test", "unit_test")
    return build


def reasons(build: Build, source: str) -> dict[str, tuple[str, str | None]]:
    rows = support.query(
        build, f"select mart, status, reason from marts.coverage where source = '{source}'"
    )
    return {mart: (status, reason) for mart, status, reason in rows}


def test_a_source_without_sellers_has_no_rows_and_the_reason(poor: Build) -> None:
    for mart in ("seller_risk", "seller_risk_factors"):
        assert support.query(poor, f"select 1 from marts.{mart} where source = 'nobody'") == []
        assert reasons(poor, "nobody")[mart] == ("empty", "The source has no seller_id")
    assert support.query(poor, "select 1 from marts.product_risk where source = 'nobody' limit 1")


def test_a_seller_that_is_alone_cannot_be_judged_and_is_told_why(poor: Build) -> None:
    rows = support.query(
        poor,
        "select risk_tier, insufficient_reason, q_value, risk_rank, lo from marts.seller_risk "
        "where source = 'alone'",
    )
    assert set(rows) == {("insufficient data", "no others to compare with", None, None, None)}
    status, reason = reasons(poor, "alone")["seller_risk"]
    assert status == "partial"
    assert reason.startswith("Some or all sellers have the tier insufficient data")


def test_who_has_just_begun_to_sell_is_told_that_and_nothing_of_others(
    marts: Connection,
) -> None:
    found = marts.execute(
        """
        select product_id in (
                select product_id from marts.product_risk
                where window_days = 365
                    and insufficient_reason = 'sold too lately for any return to have come'
            ) as is_told,
            max(age_days) as oldest
        from marts.order_lines where is_sale and age_days < 365
        group by product_id
        """
    ).fetchall()
    assert {is_told for is_told, _ in found} == {True, False}
    for is_told, oldest in found:
        assert oldest <= 1 if is_told else oldest > 0


def test_a_seller_that_has_just_begun_cannot_be_judged(poor: Build) -> None:
    rows = support.query(
        poor,
        "select risk_tier, insufficient_reason is not null, risk_rank, observed "
        "from marts.seller_risk where source = 'beginner' and seller_id = 'NEW'",
    )
    assert set(rows) == {("insufficient data", True, None, 0)}
    assert reasons(poor, "beginner")["seller_risk"][0] == "partial"
    others = support.query(
        poor,
        "select count(risk_rank) from marts.seller_risk where source = 'beginner'",
    )
    assert others[0][0] > 5


def test_predicted_risk_is_that_of_the_scores_given_before(marts: Connection) -> None:
    """Per marketplace the mean and the share of risky orders; per seller the factor."""
    scored = """
        select lines.source, coalesce(marketplace, 'unknown') as marketplace, lines.order_id,
            seller_id, age_days, return_probability, risk_band
        from marts.order_lines as lines
        inner join marts.order_return_scores using (source, order_line_id)
        where is_sale and is_out_of_sample and model_version not like 'base_rate%'
    """
    exact = marts.execute(
        f"""
        select marketplace, days, avg(return_probability),
            count(distinct case when risk_band = 'high' then order_id end)
            / count(distinct order_id)
        from ({scored}) inner join (values (7), (30), (90)) as windows (days) on age_days < days
        group by all order by all
        """
    ).fetchall()
    found = marts.execute(
        "select marketplace, window_days, average_predicted_risk, high_risk_share, "
        "high_risk_orders_weight from marts.marketplace_health order by all"
    ).fetchall()
    assert len(found) == len(exact) > 3
    for row, (marketplace, days, mean, share) in zip(found, exact, strict=True):
        assert row == (marketplace, days, pytest.approx(mean), pytest.approx(share), 20)
    rows = marts.execute(
        f"""
        select lines, count(*), factor_value, (sum(return_probability) + 20 * max(peer_value))
            / (count(*) + 20), value_with_one_more
        from marts.seller_risk_factors
        inner join ({scored}) using (source, seller_id)
        where factor = 'predicted_risk' and age_days < 90
        group by seller_id, lines, factor_value, value_with_one_more
        """
    ).fetchall()
    assert len(rows) == 60
    for lines, counted, value, exact_value, more in rows:
        assert (lines, value, more) == (counted, pytest.approx(exact_value), None)
    assert marts.execute(
        "select count(*) from marts.coverage where fact = 'scored_lines' and reason is not null"
    ).fetchall() == [(0,)]


@pytest.mark.parametrize("source", ["nobody", "alone", "beginner"])
def test_where_no_model_scored_there_is_no_predicted_risk_but_a_reason(
    poor: Build, source: str
) -> None:
    sold, predicted, reason = support.query(
        poor,
        f"""
        select
            (select count(*) from intermediate.int_scored_lines where source = '{source}'),
            (select count(average_predicted_risk) from marts.marketplace_health
                where source = '{source}'),
            (select max(reason) from marts.coverage
                where source = '{source}' and mart = 'marketplace_health'
                and fact = 'scored_lines')
        """,
    )[0]
    assert (predicted > 0) == (sold > 0) == (reason is None)


def test_poor_sources_have_no_alerts_of_sellers_and_the_reason(poor: Build) -> None:
    tested = support.query(
        poor,
        "select distinct source, entity_id from intermediate.int_alert_tests "
        "where entity_type = 'seller' and (source = 'nobody' or entity_id = 'NEW')",
    )
    assert tested == []
    alerts = support.query(
        poor,
        "select source from marts.alerts where entity_type = 'seller' and source <> 'beginner'",
    )
    assert alerts == []
    assert reasons(poor, "nobody")["alerts"] == (
        "partial",
        "The source has no seller_id: products, categories and marketplaces alone are watched",
    )


# factors


def test_factors_of_a_seller_follow_from_the_ledger(marts: Connection) -> None:
    """Cash on delivery, cancellations and late parcels of some sellers, with Wilson's interval."""
    lines = marts.execute(
        """
        select seller_id, coalesce(category, 'unknown'), return_class, payment_method,
            case when delivered_at > promised_at or delivered_at is null then 'late' end,
            coalesce(promised_at::date < as_of_date, true) as is_due,
            promised_at::date < as_of_date and (
                delivered_at is not null
                or is_sale and promised_at::date >= as_of_date - 60
            ) as has_delivery
        from marts.order_lines where age_days < 365 and seller_id is not null
        """
    ).fetchall()
    found = {
        (seller, factor): values
        for seller, factor, *values in marts.execute(
            "select seller_id, factor, events, lines, factor_value, peer_value, lo, hi, "
            "threshold, points::double, weight from marts.seller_risk_factors"
        ).fetchall()
    }
    z = stats.norm.ppf((1 + CONFIDENCE) / 2)
    for factor, index, wanted, difference, asked in (
        ("cod_share", 3, {"cod"}, 0.10, None),
        ("cancellations", 2, {"cancelled", "undelivered"}, 0.03, 5),
        ("late_delivery", 4, {"late"}, None, 6),
    ):
        for seller in ("S00001", "S00017", "S00039"):
            own, others = (defaultdict(lambda: [0, 0]) for _ in range(2))
            for line in lines:
                if asked and not line[asked]:
                    continue
                counts = (own if line[0] == seller else others)[line[1]]
                counts[0] += line[index] in wanted
                counts[1] += 1
            events, count = (sum(counts[at] for counts in own.values()) for at in (0, 1))
            peer = (
                sum(n * others[kind][0] / others[kind][1] for kind, (_, n) in own.items()) / count
            )
            n, share = count + 20, (events + 20 * peer) / (count + 20)
            middle, half = (
                share + z * z / (2 * n),
                z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)),
            )
            lo, hi = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
            assert found[seller, factor][2:6] == pytest.approx([share, peer, lo, hi], abs=1e-6)
            if difference is None:
                continue
            threshold = max(1.5 * peer, peer + difference)
            points = 10 * min(1, max(0, (lo - peer) / (threshold - peer)))
            expected = [events, count, share, peer, lo, hi, threshold, points, 10]
            assert found[seller, factor] == pytest.approx(expected, abs=6e-3)


def test_health_is_worse_where_returns_rise(marts: Connection) -> None:
    young = marts.execute(
        "select trend = 'insufficient data', return_rate_weight + trend_weight = 0, "
        "return_rate_value is null and trend_value is null from marts.marketplace_health"
    ).fetchall()
    assert set(young) == {(True, True, True), (False, False, False)}
    rows = marts.execute(
        "select return_rate_value, return_rate_score from marts.marketplace_health "
        "where return_rate_value is not null order by 1"
    ).fetchall()
    scores = [score for _, score in rows]
    assert scores == sorted(scores, reverse=True)
    for value, score in rows:
        assert score == pytest.approx(100 * min(1, max(0, (1.5 - value) / 0.5)), abs=1e-3)
