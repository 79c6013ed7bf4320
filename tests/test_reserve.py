"""The reserve and the forecast of returns, computed again from the ledger, and their own backtests.

Of the intermediate models only what history weighs is read; tests/test_returns.py proves it.
"""

import csv
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from data.generate import generate
from tests import support
from tests.support import Build

Connection = duckdb.DuckDBPyConnection

WINDOW = 365
PRIOR_MIN = 50
CENT = Decimal("0.01")


def exposure_rate(returned: float, exposure: float, prior: float, strength: float) -> float:
    return min(1.0, (returned + strength * prior) / (exposure + strength))


def expected_refunds(marts: Connection) -> dict[str, list[float]]:
    """By currency: what is still to be refunded, and the cost of the goods that come back.

    Cell by cell of month, category and currency, of the sales of the last WINDOW days.
    """
    rows = marts.execute(
        """
        with refunds as (
            select source, order_line_id, sum(refund_amount) as refund_amount
            from marts.returns
            where order_line_id is not null and returned_at is not null
            group by source, order_line_id
        )
        select
            coalesce(order_lines.original_currency, 'unknown'),
            coalesce(order_lines.category, 'unknown'),
            date_trunc('month', order_lines.ordered_date),
            count(*),
            sum(order_lines.net_amount)::double,
            coalesce(sum(refunds.refund_amount), 0)::double,
            sum(order_lines.net_amount * order_lines.maturity)::double,
            coalesce(
                sum(order_lines.quantity * products.unit_cost * (1 - order_lines.maturity)), 0
            )::double
        from marts.order_lines
        left join refunds using (source, order_line_id)
        left join marts.products using (source, product_id)
        where order_lines.is_sale and order_lines.age_days < ?
        group by all
        """,
        [WINDOW],
    ).fetchall()
    (strength_lines,) = marts.execute(
        """
        select prior_exposure_lines
        from intermediate.int_prior_exposures
        where entity_type = 'category'
            and as_of_date = (select max(as_of_date) from marts.order_lines)
        """
    ).fetchone()

    whole = [0.0] * 4
    categories, pairs = defaultdict(lambda: [0.0, 0.0]), defaultdict(lambda: [0.0, 0.0])
    for currency, category, _, lines, sold, returned, exposure, _ in rows:
        for index, value in enumerate((lines, sold, returned, exposure)):
            whole[index] += value
        for sums in (categories[category], pairs[category, currency]):
            sums[0] += returned
            sums[1] += exposure
    lines, sold, returned, exposure = whole
    least, strength = (number * sold / lines for number in (PRIOR_MIN, strength_lines))

    found = defaultdict(lambda: [0.0, 0.0])
    for currency, category, _, _, sold_now, returned_now, exposed, open_cost in rows:
        prior = exposure_rate(*categories[category], returned / exposure, least)
        prior = exposure_rate(*pairs[category, currency], prior, strength)
        rate = exposure_rate(returned_now, exposed, prior, strength)
        for key in (currency, "all"):
            found[key][0] += rate * (sold_now - exposed)
            found[key][1] += rate * open_cost
    return found


def test_the_liability_of_today_follows_from_the_ledger(marts: Connection) -> None:
    expected = expected_refunds(marts)
    found = {
        currency: (liability, cost)
        for currency, liability, cost in marts.execute(
            """
            select currency, liability_amount, goods_cost_amount
            from marts.refund_liability
            where known_on = as_of_date
            """
        ).fetchall()
    }
    assert found.keys() == expected.keys()
    assert float(found["all"][0]) > 1000
    for currency, (liability, cost) in expected.items():
        assert float(found[currency][0]) == pytest.approx(liability, abs=0.01)
        assert float(found[currency][1]) == pytest.approx(cost, abs=0.01)


def test_a_year_of_true_ups_leads_from_the_first_reserve_to_the_last(marts: Connection) -> None:
    rows = marts.execute(
        """
        select opening_on, known_on, opening_liability, new_sales_liability, true_up_amount,
            refunds_paid, liability_amount
        from marts.refund_liability
        where currency = 'all'
        order by known_on
        """
    ).fetchall()
    assert len(rows) == 13 and rows[0][2] is None
    assert [row[0] for row in rows[1:]] == [row[1] for row in rows[:-1]]
    new, true_ups, paid = (sum(row[index] for row in rows[1:]) for index in (3, 4, 5))
    assert rows[0][6] + new + true_ups - paid == rows[-1][6]
    assert abs(true_ups) < paid / 10


def test_the_asset_is_worth_less_than_the_goods_cost(marts: Connection) -> None:
    rows = marts.execute(
        """
        select goods_cost_amount, recovery_cost_amount, return_asset_amount, liability_amount,
            asset_coverage
        from marts.refund_liability
        where liability_amount > 0
        """
    ).fetchall()
    for cost, recovery, asset, liability, coverage in rows:
        assert 0 < recovery < cost < liability
        assert asset == cost - recovery
        assert coverage == pytest.approx(1, abs=0.05)


def test_what_was_reserved_is_held_against_what_was_refunded(marts: Connection) -> None:
    """Of every month-end: the refunds after it, of sales up to it, straight from the returns."""
    rows = marts.execute(
        """
        select
            liability.known_on,
            liability.realised_refund_amount,
            sum(returns.refund_amount),
            liability.is_covered
        from marts.refund_liability as liability
        inner join marts.returns
            on
                returns.order_line_id is not null
                and returns.returned_date > liability.known_on
                and cast(returns.ordered_at as date) <= liability.known_on
        where liability.currency = 'all'
        group by all
        """
    ).fetchall()
    assert len(rows) == 12
    for _, realised, refunded, _ in rows:
        assert realised == refunded
    final = [is_covered for known_on, _, _, is_covered in rows if known_on < date(2026, 5, 1)]
    assert None not in final and sum(final) >= len(final) - 1


def test_forecasts_cover_what_came(marts: Connection) -> None:
    """Nine times in ten; the demo has a flash sale and a supply crisis that nobody foresaw."""
    for condition, least, most in (("category = 'all'", 0.82, 0.97), ("true", 0.86, 0.94)):
        weeks, covered, expected, came = marts.execute(
            f"""
            select count(*), avg(is_covered::int), sum(expected_units), sum(actual_units)
            from marts.return_forecast
            where is_covered is not null and {condition}
            """
        ).fetchone()
        assert weeks > 100 and least < covered < most
        assert 0.95 < expected / came < 1.05


def test_a_forecast_adds_up_to_what_is_open(marts: Connection) -> None:
    """Nearly all that is expected of sales made comes in the eight weeks, and no more than all."""
    sold, open_units = marts.execute(
        """
        with weeks as (
            select sum(units_from_sold) as sold
            from marts.return_forecast
            where known_on = as_of_date and category = 'all'
        ),
        open_sales as (
            select sum(rates.rate * lines.open_units) as open_units
            from (
                select category, original_currency, date_trunc('month', ordered_date) as sale_month,
                    sum(quantity * (1 - maturity))::double as open_units
                from marts.order_lines
                where is_sale
                group by all
            ) as lines
            inner join intermediate.int_open_rates as rates
                on
                    rates.unit = 'units'
                    and rates.as_of_date = date '2026-06-30'
                    and rates.category = lines.category
                    and rates.original_currency = lines.original_currency
                    and rates.sale_month = lines.sale_month
        )
        select sold, open_units from weeks cross join open_sales
        """
    ).fetchone()
    assert 0.97 * open_units < float(sold) <= open_units + 0.01


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Three sources that say too little: nothing of returns, no dates of them, one month."""
    build = Build(
        tmp_path_factory.mktemp("poor"), sources=("no_returns", "undated", "single_month")
    )
    generate(build.folder, source="no_returns", lines=3000, no_returns=True)
    generate(build.folder, source="undated", lines=3000)
    generate(build.folder, source="single_month", lines=3000, days=30)
    without_dates(build.raw / "undated" / "returns.csv")
    support.build(
        build,
        *support.WITHOUT_UNIT_TESTS,
        *("--select", "+assert_refund_liability", "+assert_return_forecast", "+coverage"),
        *("--indirect-selection", "cautious"),
    )
    return build


def without_dates(file: Path) -> None:
    with file.open(encoding="utf-8", newline="") as text:
        rows = list(csv.reader(text))
    column = rows[0].index("returned_at")
    for row in rows[1:]:
        if len(row) > column:
            row[column] = ""
    with file.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, lineterminator="\n").writerows(rows)


@pytest.mark.parametrize("mart", ["refund_liability", "return_forecast"])
def test_a_source_that_says_too_little_has_no_rows_and_coverage_says_why(
    poor: Build, mart: str
) -> None:
    """A single month has rows, but says that its late returns are not known yet."""
    found = support.query(
        poor, f"select source, bool_or(is_curve_complete) from marts.{mart} group by source"
    )
    assert found == [("single_month", False)]
    coverage = support.query(
        poor,
        f"select source, status, fact from marts.coverage where mart = '{mart}' order by source",
    )
    assert coverage == [
        ("no_returns", "empty", "returns_with_curve"),
        ("single_month", "partial", "days_of_history"),
        ("undated", "empty", "returns_with_curve"),
    ]
