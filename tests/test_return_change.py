"""return_basis_bridge, return_triangle and return_change, computed again from the ledger.

The recomputation reads marts.order_lines, marts.returns and policies (and how much history weighs
and how strata return, which tests/test_returns.py is about), adds up with SQL of its own and
decomposes by averaging over all orders in which volume, shares and rates could have changed. Bases
and totals are compared exactly, contributions to 1e-9.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pytest

Connection = duckdb.DuckDBPyConnection

DIMENSIONS = {
    "category": ("category", "category"),
    "seller": ("seller_id", "seller_id"),
    "country": ("country", "country"),
    # returns have no channel of their own
    "channel": (
        "channel",
        "(select channel from marts.order_lines as sold where"
        " sold.source = returns.source and sold.order_line_id = returns.order_line_id)",
    ),
}


@pytest.fixture(params=["demo", "online_retail"])
def ledger(request: pytest.FixtureRequest) -> Connection:
    """The marts of the demo, and of the real file."""
    name = {"demo": "marts", "online_retail": "online_retail_marts"}[request.param]
    return request.getfixturevalue(name)


def rows(marts: Connection, query: str, *values: object) -> list[tuple]:
    return marts.execute(query, list(values)).fetchall()


def policy(marts: Connection, name: str) -> int:
    """A number of policy_parameters."""
    query = "select value from policy.policy_parameters where policy_name = ?"
    return rows(marts, query, name)[0][0]


def month_of(day: date, months: int = 0) -> date:
    """First day of the month of a day, so many months later."""
    index = day.year * 12 + day.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


# the bridge


def test_every_day_is_the_sum_of_its_cells_on_both_date_bases(ledger: Connection) -> None:
    """The event view of a day is a diagonal of the cells, unmatched returns included; exactly."""
    bridge = rows(
        ledger,
        "select event_date, sale_date, returned_units, returned_amount, excess_refund_amount,"
        " is_unmatched, days_between, sale_date_key from marts.return_basis_bridge",
    )
    assert any(is_unmatched for *_, is_unmatched, _, _ in bridge)
    by_event: dict[date, list] = {}
    by_sale: dict[date, list] = {}
    for event_date, sale_date, units, refund, excess, is_unmatched, age, key in bridge:
        assert (sale_date is None) == is_unmatched == (age is None)
        assert key == ("unmatched" if is_unmatched else sale_date.isoformat())
        total = by_event.setdefault(event_date, [0, Decimal(0)])
        total[0], total[1] = total[0] + units, total[1] + refund + excess
        if not is_unmatched:
            # cell (t, d - t) lies on the diagonal of d
            assert sale_date + timedelta(days=age) == event_date
            total = by_sale.setdefault(sale_date, [0, Decimal(0)])
            total[0], total[1] = total[0] + units, total[1] + refund
    days = rows(
        ledger,
        """
        select days.day,
            coalesce((select sum(quantity) from marts.returns where booked_date = days.day), 0),
            coalesce((
                select sum(refund_amount) + sum(excess_refund_amount)
                from marts.returns where booked_date = days.day
            ), 0),
            coalesce((
                select sum(returned_quantity) from marts.order_lines where ordered_date = days.day
            ), 0),
            coalesce((
                select sum(refund_amount) from marts.order_lines where ordered_date = days.day
            ), 0)
        from (
            select distinct unnest(range(
                (select min(ordered_date) from marts.order_lines),
                (select max(as_of_date) + interval 1 day from marts.order_lines),
                interval 1 day
            ))::date as day
        ) as days
        """,
    )
    assert len(days) > 300
    for day, *expected in days:
        found = [*by_event.get(day, [0, 0]), *by_sale.get(day, [0, 0])]
        assert found == expected, day
    assert set(by_event) | set(by_sale) <= {day for day, *_ in days}


# the triangle


def test_the_triangle_is_what_came_back_at_each_age(ledger: Connection) -> None:
    """Every cell, from returns joined to their lines; cells that have not begun are not there."""
    as_of = rows(ledger, "select max(as_of_date) from marts.order_lines")[0][0]
    last_age = policy(ledger, "triangle_weeks")
    sold = rows(
        ledger,
        """
        select coalesce(marketplace, 'unknown'), coalesce(category, 'unknown'),
            date_trunc('month', ordered_date)::date, min(ordered_date),
            count(*), sum(quantity), sum(net_amount)
        from marts.order_lines where is_sale group by all
        """,
    )
    returned = rows(
        ledger,
        f"""
        select coalesce(sold.marketplace, 'unknown'), coalesce(sold.category, 'unknown'),
            date_trunc('month', sold.ordered_date)::date,
            case when returned_date is null then -1
                else least((returned_date - sold.ordered_date) // 7, {last_age}) end as age,
            sum(case when place = 1 then 1 else 0 end), sum(given.quantity), sum(given.refund)
        from (
            select *, refund_amount as refund, row_number() over (
                partition by source, order_line_id order by returned_at nulls last, return_id
            ) as place
            from marts.returns where order_line_id is not null
        ) as given
        join marts.order_lines as sold using (source, order_line_id)
        group by all
        """,
    )

    def entities(marketplace: str, category: str) -> Iterator[tuple[str, str]]:
        yield from (("all", "all"), ("marketplace", marketplace), ("category", category))

    totals: dict[tuple, list] = {}
    first_sales: dict[date, date] = {}
    for marketplace, category, month, first, *measures in sold:
        first_sales[month] = min(first, first_sales.get(month, first))
        for entity in entities(marketplace, category):
            total = totals.setdefault((*entity, month), [0, 0, 0])
            totals[(*entity, month)] = [a + b for a, b in zip(total, measures, strict=True)]
    cells: dict[tuple, list] = {}
    for marketplace, category, month, age, *measures in returned:
        for entity in entities(marketplace, category):
            cell = cells.setdefault((*entity, month, age), [0, 0, 0])
            cells[(*entity, month, age)] = [a + b for a, b in zip(cell, measures, strict=True)]

    expected = {}
    for (*entity, month), measures in totals.items():
        so_far = [0, 0, 0]
        if (*entity, month, -1) in cells:
            undated = cells[(*entity, month, -1)]
            expected[(*entity, month, -1)] = [*measures, *undated, *[None] * 6, False]
        last_sale_day = month_of(month, 1) - timedelta(days=1)
        for age in range(last_age + 1):
            if first_sales[month] + timedelta(days=7 * age) > as_of:
                assert not any(
                    (*entity, month, later) in cells for later in range(age, last_age + 1)
                )
                break
            came = cells.get((*entity, month, age), [0, 0, 0])
            so_far = [a + b for a, b in zip(so_far, came, strict=True)]
            rates = [
                float(came) / float(total) if total else None
                for came, total in zip(so_far, measures, strict=True)
            ]
            is_complete = age < last_age and last_sale_day + timedelta(days=7 * age + 6) <= as_of
            expected[(*entity, month, age)] = [*measures, *came, *so_far, *rates, is_complete]
    found = {
        tuple(key): values
        for *key, values in (
            [*row[:4], list(row[4:])]
            for row in rows(
                ledger,
                "select entity_type, entity_id, sale_month, age_week, sold_lines, sold_units,"
                " sold_amount, returned_lines, returned_units, refund_amount,"
                " cumulative_returned_lines, cumulative_returned_units, cumulative_refund_amount,"
                " cumulative_line_rate, cumulative_unit_rate, cumulative_value_rate, is_complete"
                " from marts.return_triangle",
            )
        )
    }
    assert found.keys() == expected.keys()
    for key, values in found.items():
        *exact, line_rate, unit_rate, value_rate, is_complete = values
        *counts, line, unit, value, complete = expected[key]
        assert [*exact, is_complete] == [*counts, complete], key
        assert [line_rate, unit_rate, value_rate] == pytest.approx([line, unit, value]), key


# the change


@dataclass(frozen=True)
class Period:
    """What one member sold and got back in a period; rate is None without sales."""

    sales: float = 0.0
    booked: float = 0.0
    rate: float | None = None


def shapley(
    value: Callable[..., float], base: tuple[float, ...], current: tuple[float, ...]
) -> list[float]:
    """What each factor changes in a value, averaged over all orders in which factors can change."""
    effects = [0.0] * len(base)
    orders = list(itertools.permutations(range(len(base))))
    for order in orders:
        factors = list(base)
        for place in order:
            before = value(*factors)
            factors[place] = current[place]
            effects[place] += (value(*factors) - before) / len(orders)
    return effects


def decomposed(base: dict[str, Period], current: dict[str, Period]) -> dict[tuple, float]:
    """(measure, driver, member): contribution, by the definition."""
    found = {}
    totals = [sum(member.sales for member in side.values()) for side in (base, current)]
    averages = [
        sum(member.sales * (member.rate or 0) for member in side.values()) / total
        for side, total in zip((base, current), totals, strict=True)
    ]
    for name in base | current:
        before, after = base.get(name, Period()), current.get(name, Period())
        rates = [
            before.rate if before.rate is not None else after.rate,
            after.rate if after.rate is not None else before.rate,
        ]
        rates = [rate or 0.0 for rate in rates]
        shares = [before.sales / totals[0], after.sales / totals[1]]

        def product(*factors: float) -> float:
            result = 1.0
            for factor in factors:
                result *= factor
            return result

        sides = list(zip(totals, shares, rates, strict=True))
        volume, shift, rate = shapley(product, *sides)
        at_average = shapley(product, *zip(totals, shares, averages, strict=True))[1]
        expected = [product(*side) for side in sides]
        found["amount", "volume", name] = volume
        found["amount", "mix", name] = shift - at_average
        found["amount", "rate", name] = rate
        found["amount", "timing", name] = (after.booked - expected[1]) - (
            before.booked - expected[0]
        )
        shift, rate = shapley(product, *zip(shares, rates, strict=True))
        at_average = shapley(product, *zip(shares, averages, strict=True))[0]
        found["rate", "mix", name] = shift - at_average
        found["rate", "rate", name] = rate
        found["rate", "timing", name] = (after.booked - expected[1]) / totals[1] - (
            before.booked - expected[0]
        ) / totals[0]
    return found


def periods_of(marts: Connection, dimension: str) -> Callable[[date, date], dict[str, Period]]:
    """A function that adds up a period by member, and projects it by the one formula."""
    column, returns_column = DIMENSIONS[dimension]
    as_of = rows(marts, "select max(as_of_date) from marts.order_lines")[0][0]
    history_days = policy(marts, "completion_window_days")
    history_start = month_of(as_of)
    while (as_of - month_of(history_start, -1)).days < history_days:
        history_start = month_of(history_start, -1)
    ((prior_lines,),) = rows(
        marts,
        """
        select prior_exposure_lines from intermediate.int_prior_exposures
        where as_of_date = ? and entity_type = ?
        """,
        as_of,
        "country" if dimension == "country" else "category",
    )
    sums = f"""
        select coalesce({column}, 'unknown'), count(*), sum(net_amount)::double,
            sum(refund_amount)::double,
            sum(net_amount::decimal(28, 4) * round(usual * known, 6))::double,
            sum(net_amount::decimal(28, 4) * round(usual * (1 - known), 6))::double
        from (
            select lines.*, coalesce(reference_rate, 1) as usual, coalesce(maturity, 1) as known
            from marts.order_lines as lines
            -- the first stratum is the category
            left join intermediate.int_reference_rates as rates
                on lines.source = rates.source
                and lines.as_of_date = rates.as_of_date
                and coalesce(category, 'unknown') = stratum_1
        )
        where is_sale and ordered_date between ? and ?
        group by all
    """
    history = {member: sums for member, *sums in rows(marts, sums, history_start, as_of)}
    lines, _, back, expected, still_open = (
        sum(sums) for sums in zip(*history.values(), strict=True)
    )
    per_line, ratio_of_all = (expected + still_open) / lines, back / expected
    least_prior_lines = policy(marts, "prior_exposure_lines")

    def one(first: date, last: date) -> dict[str, Period]:
        booked = dict(
            rows(
                marts,
                f"""
                select coalesce({returns_column}, 'unknown'),
                    sum(refund_amount + excess_refund_amount)::double
                from marts.returns where booked_date between ? and ? group by all
                """,
                first,
                last,
            )
        )
        found = {member: Period(booked=amount) for member, amount in booked.items()}
        for member, _, sales, refund, expected, still_open in rows(marts, sums, first, last):
            _, _, past_refund, past_expected, _ = history.get(member, [0, 0, 0, 0, 0])
            weight = least_prior_lines * per_line
            prior = (past_refund + weight * ratio_of_all) / (past_expected + weight)
            weight = prior_lines * per_line
            ratio = (refund + weight * prior) / (expected + weight)
            final = min(1, (refund + ratio * still_open) / sales) if sales else None
            found[member] = Period(sales, booked.get(member, 0.0), final)
        return found

    return one


def test_the_compared_periods_are_the_last_complete_ones(ledger: Connection) -> None:
    """Three period ends of each comparison, as far as the history reaches."""
    ((first, as_of),) = rows(
        ledger, "select min(ordered_date), max(as_of_date) from marts.order_lines"
    )
    month_end = month_of(as_of + timedelta(days=1))
    week_end = as_of + timedelta(days=1)
    week_end -= timedelta(days=week_end.weekday())
    one, week = timedelta(days=1), timedelta(days=7)
    expected = set()
    for ago in range(3):
        start, end = month_of(month_end, -ago - 1), month_of(month_end, -ago) - one
        for name, shift in (("month_before", 1), ("year_before", 12)):
            base_end = month_of(month_end, -ago - shift) - one
            expected.add((name, start, end, month_of(start, -shift), base_end, ago == 0))
        end = week_end - ago * week
        periods = (end - 4 * week, end - one, end - 8 * week, end - 4 * week - one)
        expected.add(("four_weeks_before", *periods, ago == 0))
    found = rows(
        ledger,
        "select distinct comparison, current_start, current_end, base_start, base_end, is_latest"
        " from marts.return_change",
    )
    assert set(found) == {period for period in expected if period[3] >= first}


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_contributions_are_those_of_a_plain_recomputation(
    ledger: Connection, dimension: str
) -> None:
    period = periods_of(ledger, dimension)
    comparisons = rows(
        ledger,
        "select distinct comparison, current_start, current_end, base_start, base_end"
        " from marts.return_change order by all",
    )
    assert len(comparisons) >= 6
    for comparison, start, end, base_start, base_end in comparisons:
        base, current = period(base_start, base_end), period(start, end)
        expected = decomposed(base, current)
        found = {
            (measure, driver, member): contribution
            for measure, driver, member, contribution in rows(
                ledger,
                """
                select measure, driver, member, contribution from marts.return_change
                where comparison = ? and current_end = ? and dimension = ?
                    and driver <> 'residual'
                """,
                comparison,
                end,
                dimension,
            )
        }
        assert found.keys() == expected.keys()
        for key, contribution in found.items():
            assert float(contribution) == pytest.approx(expected[key], rel=1e-9, abs=2e-9), key


def test_decompositions_are_complete_and_every_dimension_explains_the_same_change(
    ledger: Connection,
) -> None:
    """Sums of decimals, so exactly; the residual row says 0."""
    decompositions = rows(
        ledger,
        """
        select comparison, current_end, measure, dimension, sum(contribution),
            min(total_change), max(total_change),
            sum(case when driver = 'residual' then contribution end),
            count(case when driver = 'residual' then 1 end)
        from marts.return_change group by all
        """,
    )
    changes: dict[tuple, set] = {}
    for *key, dimension, contribution, least, most, residual, count in decompositions:
        assert contribution == least == most
        assert abs(residual) < Decimal("1e-9") and count == 1
        changes.setdefault(tuple(key), set()).add((dimension, least))
    for key, found in changes.items():
        assert {dimension for dimension, _ in found} == set(DIMENSIONS), key
        assert len({change for _, change in found}) == 1, key


def test_mix_is_only_about_shares(ledger: Connection) -> None:
    """Over all members, shares that move at the average rate change nothing: one member, no mix."""
    found = rows(
        ledger,
        """
        select dimension, max(abs(contribution)) from marts.return_change
        where driver = 'mix' group by dimension, comparison, current_end, measure
        having count(*) = 1
        """,
    )
    assert all(contribution == 0 for _, contribution in found)


def test_sentences_say_what_their_row_says(ledger: Connection) -> None:
    found = rows(
        ledger,
        "select sentence, measure, driver, contribution, current_period, base_period, currency,"
        " total_change from marts.return_change",
    )
    for sentence, measure, driver, contribution, period, base, currency, total in found:
        assert sentence.endswith(".") and "  " not in sentence
        assert period in sentence and base in sentence
        number = total if driver == "residual" else contribution
        unit = f" {currency}" if measure == "amount" else " percentage points"
        text = f"{abs(number):,.0f}" if measure == "amount" else f"{abs(100 * number):.2f}"
        if float(text.replace(",", "")) == 0:
            assert "close to nothing" in sentence or "as much as" in sentence
        elif abs(number) * 100 % 1 != Decimal("0.5"):
            assert text + unit in sentence, sentence
            assert (number > 0) == any(word in sentence for word in (" more ", " higher ")), (
                sentence
            )
    assert len({sentence for sentence, *_ in found}) > len(found) / 2
