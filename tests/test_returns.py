"""Returns you can defend: the curve, maturities and projections, computed again from the ledger.

Plain Python on marts.order_lines and marts.returns; of the intermediate models only the delays of
deliveries are read, which have a test of their own.
"""

import math
from collections import defaultdict
from datetime import date, timedelta

import duckdb
import pytest

from tests import support
from tests.support import Build

MAX_AGE = 180
WINDOW = 365
POOLING = 40
PRIOR_MIN, PRIOR_MAX = 50, 2000
UNITS = {
    "lines": ("1", "case when returned_quantity > 0 then 1 else 0 end"),
    "units": ("quantity", "returned_quantity"),
    "value": ("cast(net_amount as double)", "cast(refund_amount as double)"),
}


def as_of_date(marts: duckdb.DuckDBPyConnection) -> date:
    return marts.execute("select max(as_of_date) from marts.order_lines").fetchone()[0]


def counts_by_age(returns: list[tuple[date, int]], today: date) -> tuple[list[int], list[int]]:
    """Returns at each age, and returns up to it of sales watched so long, on the last diagonals.

    The definition, cell by cell: at age a a return counts if its sale has reached that age by
    `today` and did so in the last WINDOW days.
    """
    came, had_come = [0] * (MAX_AGE + 1), [0] * (MAX_AGE + 1)
    for ordered, age in returns:
        for watched in range(age, MAX_AGE + 1):
            diagonal = (today - ordered).days - watched
            if 0 <= diagonal < WINDOW:
                had_come[watched] += 1
                came[watched] += watched == age
    return came, had_come


def completion(hazards: list[float]) -> list[float]:
    """Share that has come by the end of each age: the product of 1 - hazard over later ages."""
    shares = [1.0]
    for hazard in reversed(hazards[1:]):
        shares.append(shares[-1] * max(1 - hazard, 1e-12))
    return shares[::-1]


def pooled(came: list[int], had_come: list[int], above: list[float]) -> list[float]:
    return [
        (count + POOLING * hazard) / (known + POOLING)
        for count, known, hazard in zip(came, had_come, above, strict=True)
    ]


def test_the_completion_curve_is_the_chain_ladder_of_the_ledger(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    today = as_of_date(marts)
    rows = marts.execute(
        """
        select
            cast(returns.ordered_at as date),
            returns.days_to_return,
            coalesce(returns.category, 'unknown')
        from marts.returns
        where order_line_id is not null and returned_at is not null
        """
    ).fetchall()
    by_category = defaultdict(list)
    for ordered, age, category in rows:
        by_category[category].append((ordered, age))
    came, had_come = counts_by_age([row[:2] for row in rows], today)
    source_hazards = [
        count / known if known else 0 for count, known in zip(came, had_come, strict=True)
    ]
    expected = {"*": completion(source_hazards)}
    for category, returns in by_category.items():
        hazards = pooled(*counts_by_age(returns, today), source_hazards)
        expected[category] = completion(hazards)
    found = marts.execute(
        """
        select stratum_1, age_days, completion, return_count, at_risk_count
        from marts.return_completion_curve
        where stratum_level <= 1
        """
    ).fetchall()
    assert len(found) == len(expected) * (MAX_AGE + 1)
    for stratum, age, share, count, known in found:
        assert share == pytest.approx(expected[stratum][age], abs=1e-6)
        if stratum == "*":
            assert (count, known) == (came[age], had_come[age])


def test_maturity_takes_the_finest_curve(marts: duckdb.DuckDBPyConnection) -> None:
    """Of sales that were delivered as usual; the demo ends without a standstill of returns."""
    assert marts.execute(
        "select distinct status from marts.return_delays where known_on = as_of_date"
    ).fetchall() == [("on_time",)]
    checked, with_own_curve, difference = marts.execute(
        """
        with usual_weeks as (
            select marketplace, sale_week
            from intermediate.int_delivery_lags
            where delivery_lag_days = 0 and as_of_date = date '2026-06-30'
        )
        select
            count(*),
            count(fine.completion),
            max(abs(order_lines.maturity - coalesce(fine.completion, coarse.completion)))
        from marts.order_lines
        inner join usual_weeks
            on
                order_lines.marketplace = usual_weeks.marketplace
                and date_trunc('week', order_lines.ordered_date) = usual_weeks.sale_week
        left join marts.return_completion_curve as coarse
            on
                coarse.stratum_level = 1
                and coarse.stratum_1 = coalesce(order_lines.category, 'unknown')
                and coarse.age_days = order_lines.age_days
        left join marts.return_completion_curve as fine
            on
                fine.stratum_level = 2
                and fine.stratum_1 = coalesce(order_lines.category, 'unknown')
                and fine.stratum_2 = coalesce(order_lines.country, 'unknown')
                and fine.age_days = order_lines.age_days
        where order_lines.is_sale and order_lines.age_days <= 180
        """
    ).fetchone()
    assert checked > 10_000 and 0 < with_own_curve < checked
    assert difference <= 1e-9


def test_a_late_week_of_deliveries_is_known_in_time(marts: duckdb.DuckDBPyConnection) -> None:
    """The supply crisis (deliveries four or five days late for three weeks) from the ledger."""
    rows = marts.execute(
        """
        select
            date_trunc('week', ordered_date) as week,
            avg(date_diff('day', cast(ordered_at as date), cast(delivered_at as date))) as days
        from marts.order_lines
        where is_sale and ordered_date between date '2026-01-05' and date '2026-03-29'
        group by week
        """
    ).fetchall()
    usual = sum(days for week, days in rows if week.month == 1) / sum(
        1 for week, _ in rows if week.month == 1
    )
    late = {
        week.date() if hasattr(week, "date") else week for week, days in rows if days > usual + 3
    }
    found = {
        row[0]
        for row in marts.execute(
            """
            select distinct sale_week
            from intermediate.int_delivery_lags
            where as_of_date = date '2026-03-31' and delivery_lag_days >= 3
            """
        ).fetchall()
    }
    assert late == found == {date(2026, 2, 9), date(2026, 2, 16), date(2026, 2, 23)}


def dispersion_of_lines(marts: duckdb.DuckDBPyConnection, today: date) -> float:
    """Variance of returned lines per order and category over that of independent lines."""
    orders = marts.execute(
        """
        select category, cast(date_trunc('month', ordered_date) as date), order_id, count(*),
            count(*) filter (where returned_quantity > 0)
        from marts.order_lines
        where is_sale
        group by all
        """
    ).fetchall()
    mature = [
        row for row in orders if (today - (row[1] + timedelta(days=32)).replace(day=1)).days >= 60
    ]
    sold, returned = defaultdict(int), defaultdict(int)
    for category, _, _, lines, back in mature:
        sold[category] += lines
        returned[category] += back
    rate = {category: returned[category] / sold[category] for category in sold}
    squares = sum((back - rate[category] * lines) ** 2 for category, _, _, lines, back in mature)
    independent = sum(rate[name] * (1 - rate[name]) * sold[name] for name in sold)
    return squares / independent


def credibility(months: list[tuple[str, int, int]], dispersion: float) -> float:
    """Buehlmann's constant in lines, from (entity, lines, returned lines) of each month.

    Returned with a date, that is: a replayed day cannot know when others came.
    """
    entities = defaultdict(list)
    for entity, lines, returned in months:
        entities[entity].append((lines, returned))
    between = freedom = weight = variance = total = 0.0
    for rows in entities.values():
        if len(rows) < 2:
            continue
        lines = sum(row[0] for row in rows)
        rate = sum(row[1] for row in rows) / lines
        between += sum(row[0] * (row[1] / row[0] - rate) ** 2 for row in rows)
        freedom += len(rows) - 1
        weight += lines - sum(row[0] ** 2 for row in rows) / lines
        variance += lines * rate * (1 - rate)
        total += lines
    line_variance = variance / total * dispersion
    month_variance = (between / freedom - line_variance) / (weight / freedom)
    if month_variance * PRIOR_MAX <= line_variance:
        return PRIOR_MAX
    return max(PRIOR_MIN, line_variance / month_variance)


def reference_rates(marts: duckdb.DuckDBPyConnection) -> dict[str, float]:
    """Returned lines over exposure of each category in the last year, held by the source's rate."""
    rows = marts.execute(
        f"""
        select coalesce(category, 'unknown'), count(first_returned_at),
            sum(cast(maturity as double))
        from marts.order_lines
        where is_sale and age_days < {WINDOW}
        group by all
        """
    ).fetchall()
    source = sum(row[1] for row in rows) / math.fsum(row[2] for row in rows)
    return {
        category: (returned + PRIOR_MIN * source) / (exposure + PRIOR_MIN)
        for category, returned, exposure in rows
    }


class Slice:
    """Sums of a slice: lines, sold, returned, exposure, expected so far, expected of the rest."""

    def __init__(self) -> None:
        self.sums = [0.0] * 6

    def add(self, *values: float) -> None:
        self.sums = [total + float(value) for total, value in zip(self.sums, values, strict=True)]

    lines = property(lambda self: self.sums[0])
    sold = property(lambda self: self.sums[1])
    returned = property(lambda self: self.sums[2])
    exposure = property(lambda self: self.sums[3])
    expected = property(lambda self: self.sums[4])
    open = property(lambda self: self.sums[5])


@pytest.mark.parametrize(
    ("entity_type", "column"), [("all", "'all'"), ("category", "category"), ("country", "country")]
)
def test_projected_rates_follow_from_the_ledger_by_the_one_formula(
    marts: duckdb.DuckDBPyConnection, entity_type: str, column: str
) -> None:
    today = as_of_date(marts)
    months = marts.execute(
        f"""
        select coalesce({column}, 'unknown'), count(*), count(first_returned_at)
        from marts.order_lines
        where is_sale and is_mature and age_days between 60 and {WINDOW - 1}
        group by coalesce({column}, 'unknown'), date_trunc('month', ordered_date)
        """
    ).fetchall()
    prior_lines = credibility(months, dispersion_of_lines(marts, today))
    reference = reference_rates(marts)
    checked = 0
    for unit, (weight, returned) in UNITS.items():
        slices = defaultdict(Slice)
        for entity, start, category, lines, sold, back, exposure in marts.execute(
            f"""
            select coalesce({column}, 'unknown'), cast(date_trunc('month', ordered_date) as date),
                coalesce(category, 'unknown'),
                count(*), sum({weight}), sum({returned}), sum({weight} * cast(maturity as double))
            from marts.order_lines
            where is_sale
            group by all
            """
        ).fetchall():
            rate = reference[category]
            slices[entity, start].add(
                lines, sold, back, exposure, rate * exposure, rate * (float(sold) - exposure)
            )
        year, history = Slice(), defaultdict(Slice)
        for (entity, start), values in slices.items():
            if (today - start).days < WINDOW:
                year.add(*values.sums)
                history[entity].add(*values.sums)
        per_line = (year.expected + year.open) / year.lines
        found = {
            (entity, start): (rate, maturity)
            for entity, start, rate, maturity in marts.execute(
                """
                select entity_id, period_start, projected_rate, maturity
                from marts.return_rates
                where entity_type = ? and unit = ? and basis = 'sale' and period_grain = 'month'
                """,
                [entity_type, unit],
            ).fetchall()
        }
        assert len(found) == len(slices)
        for (entity, start), now in slices.items():
            own, least = history[entity], PRIOR_MIN * per_line
            prior = (own.returned + least * year.returned / year.expected) / (own.expected + least)
            strength = prior_lines * per_line
            ratio = (now.returned + strength * prior) / (now.expected + strength)
            projected, maturity = found[entity, start]
            assert projected == pytest.approx(
                min(1, (now.returned + ratio * now.open) / now.sold), abs=2e-5
            )
            assert maturity == pytest.approx(now.exposure / now.sold, abs=1e-8)
            checked += maturity < 0.99
    assert checked > 0


def test_intervals_are_wider_for_younger_and_smaller_slices(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    """In months of like size the width falls with maturity, and is nothing once all has come."""
    rows = marts.execute(
        """
        select maturity, projected_hi - projected_lo as width
        from marts.return_rates
        where entity_type = 'all' and basis = 'sale' and unit = 'lines' and period_grain = 'month'
        order by period_start desc
        """
    ).fetchall()
    widths = [width for _, width in rows[:4]]
    assert widths == sorted(widths, reverse=True) and widths[0] > 0.005
    assert max(width for maturity, width in rows if maturity == 1) == 0
    narrow, wide = marts.execute(
        """
        select
            avg(projected_hi - projected_lo) filter (where entity_type = 'all'),
            avg(projected_hi - projected_lo) filter (where entity_type = 'category')
        from marts.return_rates
        where basis = 'sale' and unit = 'lines' and period_start = date '2026-06-01'
            and period_grain = 'month'
        """
    ).fetchone()
    assert wide > narrow


def test_a_replayed_day_says_what_was_said_on_that_day(
    demo: Build, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The backtest of a month-end equals a build whose data end on that month-end.

    Not to the last digit: lines that were cancelled after that day count as sold in the old build
    (cancellations come within days), and the year of history that both weigh begins with a month
    here, with a day there.
    """
    past = Build(tmp_path_factory.mktemp("past"))
    (past.folder / "raw").symlink_to(demo.raw)
    support.build(
        past,
        *support.WITHOUT_UNIT_TESTS,
        *("--exclude-resource-type", "test"),
        *("--select", "+return_rates", "+return_delays"),
        as_of_date="2026-03-31",
    )
    then = {
        row[:3]: row[3:]
        for row in support.query(
            past,
            """
            select entity_id, unit, period_start, denominator, numerator, maturity,
                projected_rate, projected_lo, projected_hi
            from marts.return_rates
            where entity_type in ('all', 'category') and basis = 'sale'
                and period_grain = 'month' and period_start >= date '2026-01-01'
            """,
        )
    }
    replayed = support.query(
        demo,
        """
        select entity_id, unit, cohort_start, denominator, numerator, maturity,
            projected_rate, projected_lo, projected_hi
        from marts.return_projection_backtest
        where entity_type in ('all', 'category') and known_on = date '2026-03-31'
            and cohort_kind = 'month' and cohort_start >= date '2026-01-01'
        """,
    )
    assert len(replayed) == len(then) == 9 * 3 * 3
    for row in replayed:
        sold, returned, maturity, rate, lo, hi = map(float, then[row[:3]])
        tolerance = 0.005 if row[1] == "value" else 0.002
        assert float(row[3]) == pytest.approx(sold, rel=0.02)
        assert float(row[4]) == pytest.approx(returned, rel=0.01)
        assert row[5] == pytest.approx(maturity, abs=0.01)
        assert row[6] == pytest.approx(rate, abs=tolerance)
        assert row[7] == pytest.approx(lo, abs=2 * tolerance)
        assert row[8] == pytest.approx(hi, abs=2 * tolerance)


RETURNS_MARTS = (
    "return_rates",
    "return_completion_curve",
    "return_triangle",
    "return_delays",
    "return_projection_backtest",
    "return_basis_bridge",
    "return_change",
    "return_costs",
    "refund_liability",
    "return_forecast",
)


@pytest.fixture(scope="module")
def poor_sources(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Sources that know little: no returns, flags without dates, a single month."""
    build = Build(
        tmp_path_factory.mktemp("poor"), sources=("no_returns", "flags_only", "one_month")
    )
    lines = "order_id,order_line_id,ordered_at,product_id,customer_id,quantity,unit_price,category"
    for source, days in (("no_returns", 120), ("flags_only", 120), ("one_month", 30)):
        rows = []
        for number in range(600):
            day = date(2026, 3, 1) + timedelta(days=number * days // 600)
            status = "returned" if number % 5 == 0 else "kept"
            rows.append(
                f"O{number // 2},L{number},{day}T10:00:00,P{number % 7},C{number % 40},1,20.00,"
                f"{'shoes' if number % 3 else 'tops'}"
                + (f",{status}" if source == "flags_only" else "")
            )
        header = lines + (",return_status" if source == "flags_only" else "")
        support.write(build.raw / source / "order_lines.csv", "\n".join([header, *rows]) + "\n")
    returns = ["return_id,order_line_id,returned_at,quantity"]
    for number in range(0, 450, 5):
        day = date(2026, 3, 1) + timedelta(days=number * 30 // 600 + number % 7)
        returns.append(f"R{number},L{number},{day}T12:00:00,1")
    support.write(build.raw / "one_month" / "returns.csv", "\n".join(returns) + "\n")
    support.build(build, *support.WITHOUT_UNIT_TESTS)
    return build


def test_models_of_a_poor_source_are_not_trusted_and_it_says_why(poor_sources: Build) -> None:
    health = dict(
        support.query(
            poor_sources, "select source, status from marts.model_health where is_current"
        )
    )
    assert health == dict.fromkeys(poor_sources.sources, "no scores")
    for mart, empty in (
        ("model_performance", poor_sources.sources),
        ("label_delay", ("no_returns", "flags_only")),
    ):
        found = dict(
            support.query(
                poor_sources,
                f"select source, max(reason) from marts.coverage where mart = '{mart}'"
                f" and status = 'empty' and source not in (select source from marts.{mart})"
                " group by source",
            )
        )
        assert set(found) >= set(empty), mart
        assert all(found.values()), mart
    decided = support.query(
        poor_sources,
        "select source, max(decision), min(decision), max(reason) from marts.model_promotions"
        " group by source order by source",
    )
    assert [row[:3] for row in decided] == [
        (source, "not trained", "not trained") for source in sorted(poor_sources.sources)
    ]
    assert all(row[3] for row in decided)


@pytest.mark.parametrize(
    ("source", "empty"),
    [
        (
            "no_returns",
            set(RETURNS_MARTS),
        ),
        (
            "flags_only",
            {
                "return_completion_curve",
                "return_delays",
                "return_projection_backtest",
                "refund_liability",
                "return_forecast",
            },
        ),
        ("one_month", {"return_change", "return_projection_backtest"}),
    ],
)
def test_a_poor_source_has_empty_marts_and_coverage_says_why(
    poor_sources: Build, source: str, empty: set[str]
) -> None:
    found = set()
    for mart in RETURNS_MARTS:
        ((rows,),) = support.query(
            poor_sources, f"select count(*) from marts.{mart} where source = '{source}'"
        )
        if rows == 0:
            found.add(mart)
    assert found == empty
    coverage = {
        mart: (status, reason)
        for mart, status, reason in support.query(
            poor_sources,
            f"select mart, status, reason from marts.coverage where source = '{source}'",
        )
    }
    for mart in RETURNS_MARTS:
        status, reason = coverage[mart]
        assert (status == "empty") == (mart in empty), (mart, status, reason)
        assert status == "complete" or reason


def test_flags_without_dates_give_rates_and_no_projection(poor_sources: Build) -> None:
    rows = support.query(
        poor_sources,
        """
        select period_start, numerator, denominator, observed_rate, projected_rate, maturity
        from marts.return_rates
        where source = 'flags_only' and entity_type = 'all' and basis = 'sale'
            and unit = 'lines' and period_grain = 'month'
        order by period_start
        """,
    )
    assert sum(row[1] for row in rows) == 120 and sum(row[2] for row in rows) == 600
    assert rows[-1][3] == pytest.approx(0.2, abs=0.01)
    assert rows[-1][4] is None and rows[-1][5] is None
