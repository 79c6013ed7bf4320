"""The real Online Retail II file: the marts say what an independent recomputation says.

`online_retail_check` reads the raw file with SQL of its own and replays the credit notes in plain
Python. Everything is compared exactly: counts as int, money as Decimal, dates as date.
"""

from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from tests import online_retail_check, support

Connection = duckdb.DuckDBPyConnection
Figures = dict[str, Any]

# What the check calls a row that a policy excludes, by the policies that do.
EXCLUDED_BY = {
    "excluded_code": (
        *("postage", "fee", "manual_entry", "discount", "sample", "gift_card", "test_order"),
    ),
    "excluded_bad_debt": ("bad_debt",),
    "excluded_write_off": ("stock_write_off",),
    "excluded_zero_price": ("zero_price",),
}
# The product code B is bad debt by code, an invoice A… is by number: one policy, two rules.
CODE_OF_BAD_DEBT = "B"


@pytest.fixture(scope="module")
def figures(online_retail: support.Build) -> Figures:
    """Every figure of the independent recomputation."""
    return online_retail_check.compute(support.ONLINE_RETAIL_FILE)


def rows(marts: Connection, query: str) -> list[tuple]:
    return marts.execute(query).fetchall()


def one(marts: Connection, query: str) -> tuple:
    return rows(marts, query)[0]


def test_every_row_ends_where_the_check_puts_it(
    online_retail_marts: Connection, figures: Figures
) -> None:
    """Rows and money by disposition, with excluded rows by the rule that excluded them."""
    excluded_by = "\n".join(
        f"when excluded_by in {names!r} then '{name}'"
        for name, names in ((name, (*names, "")) for name, names in EXCLUDED_BY.items())
    )
    found = {
        name: {"rows": count, "amount": amount}
        for name, count, amount in rows(
            online_retail_marts,
            f"""
            select case
                    when disposition = 'excluded' and product_id = '{CODE_OF_BAD_DEBT}'
                        then 'excluded_code'
                    when disposition = 'excluded' then case {excluded_by} end
                    when disposition = 'rejected' then 'rejected_' || kind
                    else kind
                end as name,
                count(*),
                sum(sign * original_amount)
            from (
                select disposition, excluded_by, product_id, original_amount,
                    'sale' as kind, 1 as sign
                from intermediate.int_order_lines_screened
                union all
                select disposition, excluded_by, product_id, original_amount, 'credit', -1
                from intermediate.int_returns_screened
            )
            group by 1
            """,
        )
    }
    expected = {name: fate for name, fate in figures["dispositions"].items() if fate["rows"]}
    assert found == expected


def test_the_reconciliation_has_the_rows_and_the_money_of_the_file(
    online_retail_marts: Connection, figures: Figures
) -> None:
    fates = figures["dispositions"]
    excluded = [o for o in figures["overlaps"] if excluding_rules(o)]
    # the mart counts what a credit note gives back as positive
    credit_notes = sum(o["amount"] for o in figures["overlaps"] if o["credit_note"])
    excluded_amount = sum((-1 if o["credit_note"] else 1) * o["amount"] for o in excluded)
    assert one(
        online_retail_marts,
        """
        select count(*), sum(rows_read), sum(order_line_rows), sum(return_rows),
            sum(excluded_rows), sum(rejected_rows), sum(entity_rows), sum(rows_difference),
            sum(amount_read), sum(order_line_amount), sum(return_amount), sum(excluded_amount),
            sum(rejected_amount), sum(amount_difference)
        from marts.row_reconciliation
        """,
    ) == (
        1,
        figures["rows_read"],
        fates["sale"]["rows"],
        fates["credit"]["rows"],
        sum(o["rows"] for o in excluded),
        fates["rejected_sale"]["rows"] + fates["rejected_credit"]["rows"],
        0,
        0,
        figures["amount_read"] - 2 * credit_notes,
        fates["sale"]["amount"],
        -fates["credit"]["amount"],
        excluded_amount,
        fates["rejected_sale"]["amount"] - fates["rejected_credit"]["amount"],
        0,
    )


def excluding_rules(overlap: Figures) -> bool:
    return any(overlap[rule] for rule in ("code", "bad_debt", "write_off", "zero_price"))


def test_totals(online_retail_marts: Connection, figures: Figures) -> None:
    totals = figures["totals"]
    assert one(
        online_retail_marts,
        """
        select sum(gross_revenue), sum(net_revenue_by_event_date), sum(net_revenue_by_sale_date),
            sum(order_lines), sum(units), sum(orders), max(as_of_date)
        from marts.kpis_daily
        """,
    ) == (
        totals["gross"],
        totals["net_by_event_date"],
        totals["net_by_sale_date"],
        totals["sale_lines"],
        totals["units_sold"],
        figures["invoices"],
        figures["as_of"],
    )


def test_customers_and_invoices(online_retail_marts: Connection, figures: Figures) -> None:
    """A customer is who bought: those with nothing but credit notes are in no mart of customers."""
    assert one(online_retail_marts, "select count(*), sum(order_count) from marts.customers") == (
        figures["customers"],
        figures["invoices_known"],
    )
    assert one(
        online_retail_marts,
        """
        select count(*), count(customer_id), count(case when is_fully_returned then 1 end)
        from marts.orders
        """,
    ) == (
        figures["invoices"],
        figures["invoices_known"],
        len(figures["invoices_fully_returned"]),
    )


def test_fully_returned_invoices(online_retail_marts: Connection, figures: Figures) -> None:
    """Of equal sales at one moment nobody can say which came back: there only the number counts."""
    interchangeable = {
        order_id
        for (order_id,) in rows(
            online_retail_marts,
            """
            select distinct order_id
            from (
                select order_id, min(order_id) over same as first, max(order_id) over same as last
                from marts.order_lines
                where customer_id is not null
                window same as (partition by customer_id, product_id, ordered_at, unit_price)
            )
            where first <> last
            """,
        )
    }
    query = "select order_id from marts.orders where is_fully_returned"
    found = {order_id for (order_id,) in rows(online_retail_marts, query)}
    expected = set(figures["invoices_fully_returned"])
    assert found - interchangeable == expected - interchangeable
    assert len(found) == len(expected)
    assert len(expected & interchangeable) < 20


@pytest.mark.parametrize(
    ("mart", "key", "table"),
    [
        ("kpis_monthly", "strftime(month, '%Y-%m')", "months"),
        ("kpis_by_country", "country", "countries"),
    ],
)
def test_revenue_and_returns_by_month_and_by_country(
    online_retail_marts: Connection, figures: Figures, mart: str, key: str, table: str
) -> None:
    """Gross, and net on both date bases; units and refunds on both."""
    found = {
        name: dict(zip(figures[table][name], values, strict=True))
        for name, *values in rows(
            online_retail_marts,
            f"""
            select {key}, gross_revenue, units, returned_units_by_event_date,
                refund_amount_by_event_date, net_revenue_by_event_date,
                returned_units_by_sale_date, refund_amount_by_sale_date,
                null as excess, net_revenue_by_sale_date
            from marts.{mart}
            """,
        )
    }
    # the mart has the excess under the day of the refund, the check under that of the sale
    expected = {name: values | {"excess": None} for name, values in figures[table].items()}
    assert found == expected


def test_returned_units_and_value(online_retail_marts: Connection, figures: Figures) -> None:
    """All, matched and unmatched, and what was paid back beyond the price of the sale."""
    returns = figures["returns"]
    assert one(
        online_retail_marts,
        """
        select sum(quantity), sum(refund_amount + excess_refund_amount),
            sum(quantity) filter (order_line_id is not null),
            sum(refund_amount + excess_refund_amount) filter (order_line_id is not null),
            sum(refund_amount) filter (order_line_id is not null),
            sum(quantity) filter (order_line_id is null),
            sum(refund_amount) filter (order_line_id is null),
            sum(quantity) filter (order_line_id is null and customer_id is null),
            sum(refund_amount) filter (order_line_id is null and customer_id is null),
            sum(excess_refund_amount), count(*) filter (excess_refund_amount > 0),
            count(distinct order_line_id) filter (excess_refund_amount > 0),
            sum(original_refund_amount)
        from marts.returns
        """,
    ) == (
        *returns["total"].values(),
        *returns["matched"].values(),
        returns["refund"],
        *returns["unmatched"].values(),
        *returns["unmatched_guest"].values(),
        returns["excess"]["value"],
        returns["excess"]["pieces"],
        returns["excess"]["sale_lines"],
        returns["total"]["value"],
    )


def test_every_credit_note_gives_back_what_the_replay_says(
    online_retail: support.Build, figures: Figures
) -> None:
    """Units, value and refund of each credit and sale; equal sales at one moment count together."""
    with online_retail_check._load(support.ONLINE_RETAIL_FILE) as check:
        online_retail_check._match(check, {})
        check.execute(f"attach '{online_retail.warehouse}' as warehouse (read_only)")
        expected = """
            select c.customer_id, c.product_id, c.ts, s.ts, s.price, sum(p.units),
                sum(p.value), sum(p.refund)
            from pieces as p
            inner join credits as c on p.credit_row = c.row_id
            inner join sales as s on p.sale_row = s.row_id
            group by all
        """
        found = """
            select r.customer_id, r.product_id, r.returned_at, r.ordered_at, l.unit_price,
                sum(r.quantity), sum(r.refund_amount + r.excess_refund_amount),
                sum(r.refund_amount)
            from warehouse.marts.returns as r
            inner join warehouse.marts.order_lines as l using (source, order_line_id)
            group by all
        """
        for one_side, other_side in ((found, expected), (expected, found)):
            difference = f"({one_side}) except ({other_side}) limit 3"
            assert check.execute(difference).fetchall() == []
        assert check.execute(f"select count(*) > 8000 from ({found})").fetchone() == (True,)


def test_every_refund_by_the_month_it_was_paid_and_the_month_of_its_sale(
    online_retail_marts: Connection, figures: Figures
) -> None:
    found = {
        (credit_month, sale_month): {"units": units, "value": value}
        for credit_month, sale_month, units, value in rows(
            online_retail_marts,
            """
            select strftime(returned_date, '%Y-%m'), strftime(ordered_at, '%Y-%m'),
                sum(quantity), sum(refund_amount + excess_refund_amount)
            from marts.returns group by 1, 2
            """,
        )
    }
    assert found == figures["bridge"]


def test_cohorts(online_retail_marts: Connection, figures: Figures) -> None:
    """Sizes and active customers of every cell; a cell that the check lacks has nobody."""
    found: dict[str, Figures] = {}
    for cohort, number, size, active in rows(
        online_retail_marts,
        """
        select strftime(cohort_month, '%Y-%m'), month_number, cohort_size, active_customers
        from marts.cohort_retention
        """,
    ):
        entry = found.setdefault(cohort, {"size": size, "active": {}})
        assert entry["size"] == size
        if active:
            entry["active"][number] = active
    assert found == figures["cohorts"]


@pytest.mark.parametrize(
    ("column", "key"),
    [("recency_days", "recency"), ("frequency", "frequency"), ("monetary", "monetary")],
)
def test_recency_frequency_and_money_of_every_customer(
    online_retail_marts: Connection, figures: Figures, column: str, key: str
) -> None:
    found = dict(rows(online_retail_marts, f"select customer_id, {column} from marts.customer_rfm"))
    assert len(found) == figures["customers"]
    assert found == figures[key]


def test_the_rest_of_the_rfm_row_of_fifty_customers(
    online_retail_marts: Connection, figures: Figures
) -> None:
    found = {
        customer_id: values
        for customer_id, *values in rows(
            online_retail_marts,
            """
            select customer_id, rfm.quantity, rfm.returned_quantity, rfm.order_count,
                customers.net_amount, customers.refund_amount,
                strftime(first_ordered_at, '%Y-%m'), rfm.frequency = 0,
                cast(coalesce(last_kept_ordered_at, last_ordered_at) as date)
            from marts.customer_rfm as rfm
            inner join marts.customers using (source, customer_id)
            """,
        )
    }
    keys = (
        *("units_sold", "returned_units", "orders", "gross", "refund"),
        *("cohort_month", "all_returned", "last_kept_date"),
    )
    assert len(figures["rfm"]) == 50
    for customer_id, row in figures["rfm"].items():
        assert found[customer_id] == [row[key] for key in keys], customer_id


def test_products(online_retail_marts: Connection, figures: Figures) -> None:
    """Units sold and returned, gross and refund of every product."""
    keys = ("units_sold", "returned_units", "gross", "refund")
    found = {
        product_id: dict(zip(keys, values, strict=True))
        for product_id, *values in rows(
            online_retail_marts,
            """
            select product_id, units, returned_units, gross_revenue, refund_amount
            from marts.product_performance where units > 0
            """,
        )
    }
    assert found == figures["products"]


def test_products_that_only_came_back(online_retail_marts: Connection, figures: Figures) -> None:
    """A product without any sale in the data stands in returns, with NULL for the sale."""
    found = dict(
        rows(
            online_retail_marts,
            """
            select product_id, sum(quantity) from marts.returns
            where product_id not in (select product_id from marts.order_lines)
            group by product_id
            """,
        )
    )
    assert found == figures["products_credit_only"]


def test_what_is_known_about_the_file(figures: Figures) -> None:
    """The traps that the file is known for are in it: the comparison above is about them."""
    facts, fates = figures["facts"], figures["dispositions"]
    assert figures["rows_read"] == 525_461
    assert facts["duplicate_extra_rows"] == 6_865
    assert sum(o["rows"] for o in figures["overlaps"] if o["credit_note"]) == 10_206
    assert sum(o["rows"] for o in figures["overlaps"] if o["write_off"]) == 2_121
    assert fates["excluded_bad_debt"]["rows"] + figures["excluded_codes"]["B"]["rows"] == 3
    assert figures["as_of"] == date(2010, 12, 9)
    assert isinstance(figures["amount_read"], Decimal)


def test_the_readme_states_these_figures(online_retail_marts: duckdb.DuckDBPyConnection) -> None:
    readme = (support.ROOT / "README.md").read_text()

    def one(query: str) -> tuple:
        return online_retail_marts.execute(query).fetchall()[0]

    read, lines, returns, excluded, rejected = one(
        "select sum(rows_read), sum(order_line_rows), sum(return_rows), sum(excluded_rows),"
        " sum(rejected_rows) from marts.row_reconciliation"
    )
    assert f"{read:,} = {lines:,} + {returns:,} + {excluded:,} + {rejected:,}" in readme
    gross, by_sale, by_event = one(
        "select sum(gross_revenue), sum(net_revenue_by_sale_date), sum(net_revenue_by_event_date)"
        " from marts.kpis_monthly"
    )
    assert f"{gross:,.2f} GBP" in readme
    assert f"{by_sale:,.2f} / {by_event:,.2f} GBP" in readme
    returned, matched = one(
        "select sum(quantity), sum(case when order_line_id is not null then quantity end)"
        " from marts.returns"
    )
    assert f"{returned:,}, of which {matched:,}" in readme
    customers, invoices = one(
        "select (select count(*) from marts.customers where order_count > 0),"
        " (select count(*) from marts.orders where is_sale)"
    )
    assert f"{customers:,} / {invoices:,}" in readme
