"""marts.return_costs against a recomputation in plain Python from the ledger and the policy's CSV.

And what becomes of a source in a currency without rates, without returns, or without dates.
"""

import csv
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal

import duckdb
import pytest

from tests import support
from tests.support import Build

Connection = duckdb.DuckDBPyConnection

POLICY = support.ROOT / "dbt_project" / "seeds" / "policy" / "policy_return_costs.csv"
LEVELS = ("low", "mid", "high")
PLACES = Decimal("0.0001")
# entity type -> column of the ledger and the name of NULL
ENTITIES = {
    "all": (None, "all"),
    "marketplace": ("marketplace", "unknown"),
    "category": ("category", "unknown"),
    "product": ("product_id", "unknown"),
    "seller": ("seller_id", "unknown"),
    "country": ("country", "unknown"),
    "customer": ("customer_id", "guest"),
}
COLUMNS = "product_id, seller_id, marketplace, category, country, customer_id"


def rows(connection: Connection, query: str, *parameters: str) -> list[dict]:
    """The rows of a query as dictionaries."""
    result = connection.execute(query, parameters)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def policy(currency: str, marketplace: str | None, category: str | None) -> dict[str, dict]:
    """Component -> the row of the policy that holds, looked up from the most specific place on."""
    with POLICY.open(encoding="utf-8", newline="") as file:
        policies = [row for row in csv.DictReader(file) if row["currency"] in (currency, "*")]
    found = {}
    for place in [(marketplace, category), ("*", category), (marketplace, "*"), ("*", "*")]:
        for row in policies:
            if (row["marketplace"], row["category"]) == place:
                found.setdefault(row["component"], row)
    return found


def costs(policies: dict[str, dict], units: int, refund: Decimal) -> dict[str, Decimal]:
    """Cost of one return by component (mid), and in total by level."""
    found = defaultdict(Decimal)
    for component, row in policies.items():
        base = {"per_returned_line": 1, "per_returned_unit": units, "share_of_refund": refund}
        for level in LEVELS:
            cost = (Decimal(row[level]) * base[row["basis"]]).quantize(PLACES, ROUND_HALF_UP)
            found[f"return_cost_{level}"] += cost
            if level == "mid":
                found[f"{component}_cost"] = cost
    return found


def recompute(connection: Connection, source: str) -> dict[tuple[str, str], dict]:
    """(entity type, entity id) -> every sum of marts.return_costs."""
    (currency,) = connection.execute(
        "select reporting_currency from intermediate.int_sources where source = ?", [source]
    ).fetchone()
    unit_costs = {
        row["product_id"]: row["unit_cost"]
        for row in rows(connection, "select * from marts.products where source = ?", source)
    }
    policies: dict[tuple, dict] = {}
    totals: dict[tuple[str, str], dict] = defaultdict(lambda: defaultdict(Decimal))

    def add(row: dict, values: dict[str, Decimal]) -> None:
        for entity, (column, null) in ENTITIES.items():
            member = null if column is None or row[column] is None else row[column]
            for name, value in values.items():
                totals[entity, member][name] += value

    for line in rows(
        connection,
        f"""
        select {COLUMNS}, quantity, returned_quantity, net_amount, refund_amount, is_sale
        from marts.order_lines where source = ? and is_sale
        union all
        select {COLUMNS}, 0, quantity, 0, refund_amount, false
        from marts.returns where source = ? and order_line_id is null
        """,
        *(source, source),
    ):
        units, refund = line["returned_quantity"], line["refund_amount"]
        cost: dict[str, Decimal] = {}
        if units:
            place = (line["marketplace"], line["category"])
            if place not in policies:
                policies[place] = policy(currency, *place)
            cost = costs(policies[place], units, refund)
        values = dict(cost)
        if line["is_sale"]:
            values |= {
                "order_lines": 1,
                "units": line["quantity"],
                "returned_lines": int(units > 0),
                "returned_units": units,
                "net_amount": line["net_amount"],
                "refund_amount": refund,
                "kept_amount": line["net_amount"] - refund,
            }
        else:
            values |= {
                "unmatched_returns": 1,
                "unmatched_returned_units": units,
                "unmatched_refund_amount": refund,
            }
        unit_cost = unit_costs.get(line["product_id"])
        if unit_cost is not None:
            kept = line["net_amount"] - refund if line["is_sale"] else 0
            kept_units = line["quantity"] - units if line["is_sale"] else 0
            values |= {
                "margin_units": line["quantity"],
                "margin_net_amount": line["net_amount"],
                "margin_kept_amount": kept,
                "kept_goods_cost": kept_units * unit_cost,
                "margin_return_cost": cost.get("return_cost_mid", 0),
                "gross_margin_before_returns": line["net_amount"] - line["quantity"] * unit_cost,
            }
            for suffix, level in (("", "mid"), ("_low", "high"), ("_high", "low")):
                values[f"net_margin_after_returns{suffix}"] = (
                    kept - kept_units * unit_cost - cost.get(f"return_cost_{level}", 0)
                )
        add(line, values)
    return totals


def assert_equal(connection: Connection, source: str) -> None:
    """Every row and every sum of the mart is that of the recomputation, to the last digit."""
    expected = recompute(connection, source)
    found = {
        (row["entity_type"], row["entity_id"]): row
        for row in rows(connection, "select * from marts.return_costs where source = ?", source)
    }
    assert found.keys() == expected.keys()
    for member, row in found.items():
        wanted = expected[member]
        for name, value in row.items():
            if name in wanted:
                assert value == wanted[name], (member, name)
            elif isinstance(value, Decimal) and not name.startswith("cost_per_"):
                assert value == 0, (member, name)
        returns = row["returned_lines"] + row["unmatched_returns"]
        for suffix, level in (("", "mid"), ("_low", "low"), ("_high", "high")):
            per_line = row[f"cost_per_returned_line{suffix}"]
            assert (per_line is None) == (returns == 0)
            if returns:
                exact = wanted[f"return_cost_{level}"] / returns
                assert abs(per_line - exact) <= PLACES / 2, member


def test_the_demo_is_priced_as_a_recomputation_prices_it(marts: Connection) -> None:
    assert_equal(marts, "demo")


def test_what_returns_cost_reads_as_published(marts: Connection) -> None:
    """Bamberg's 2.85 EUR per article and a fifth of the price bound the cost of an article."""
    for row in rows(marts, "select * from marts.return_costs where entity_type = 'category'"):
        assert Decimal("2.85") < row["cost_per_returned_line_low"]
        if row["returned_lines"] > 100 and row["entity_id"] not in ("beauty", "home", "toys"):
            assert Decimal("0.1") < row["return_cost_mid"] / row["refund_amount"] < Decimal("0.3")


def test_online_retail_is_priced_in_pounds(online_retail_marts: Connection) -> None:
    """The defaults, since the file has neither marketplaces nor categories."""
    policies = policy("GBP", None, None)
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for units, refund in online_retail_marts.execute(
        """
        select returned_quantity, refund_amount from marts.order_lines where returned_quantity > 0
        union all
        select quantity, refund_amount from marts.returns where order_line_id is null
        """
    ).fetchall():
        for name, cost in costs(policies, units, refund).items():
            expected[name] += cost
    [found] = rows(
        online_retail_marts, "select * from marts.return_costs where entity_type = 'all'"
    )
    assert found["currency"] == "GBP"
    assert {name: found[name] for name in expected} == expected
    # no product of the file has a cost
    assert found["margin_coverage"] == 0
    assert found["net_margin_after_returns"] is None
    assert 0.005 < found["return_cost_share"] < 0.01


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The small shop in euro, in francs and without returns; two shops of a single month.

    `undated` has returns without dates, `totals` knows only how much of a product came back.
    """
    build = Build(
        tmp_path_factory.mktemp("shops"), sources=("euro", "francs", "silent", "undated", "totals")
    )
    support.write_shop(build.raw / "euro")
    for name, text in support.SHOP.items():
        lines = text.replace("EUR", "CHF")
        support.write_table(build.raw / "francs" / f"{name}.csv", support.table(lines))
    silent = support.SHOP["order_lines"].replace(",undelivered", ",").replace(",returned", ",")
    support.write_table(build.raw / "silent" / "order_lines.csv", support.table(silent))
    for source in ("undated", "totals"):
        support.write(
            build.raw / source / "order_lines.csv",
            """
            order_line_id,order_id,ordered_at,product_id,quantity,unit_price,currency
            L1,A1,2025-05-05,mug,3,10.00,EUR
            L2,A2,2025-05-06,mug,1,10.00,EUR
            """,
        )
    support.write(build.raw / "totals" / "returns.csv", "product_id,quantity\nmug,2\n")
    support.write(
        build.raw / "undated" / "returns.csv",
        """
        order_line_id,quantity
        L1,2
        """,
    )
    select = ("--select", "+assert_return_costs", "+coverage", "--indirect-selection", "cautious")
    support.build(build, *select, *support.WITHOUT_UNIT_TESTS)
    return build


def coverage(build: Build, source: str) -> tuple:
    """Status and deciding fact of return_costs."""
    [row] = support.query(
        build,
        f"select status, fact from marts.coverage where source = '{source}'"
        " and mart = 'return_costs'",
    )
    return row


def test_products_without_a_unit_cost_are_left_out_of_the_margins_only(shops: Build) -> None:
    with duckdb.connect(str(shops.warehouse), read_only=True) as connection:
        assert_equal(connection, "euro")
        [everything, hat] = rows(
            connection,
            """
            select * from marts.return_costs
            where source = 'euro' and (entity_id = 'all' or entity_id = 'HAT')
            order by entity_type
            """,
        )
    assert hat["return_cost_mid"] > 0
    assert hat["margin_coverage"] == 0
    assert hat["gross_margin_before_returns"] is None
    assert hat["net_margin_after_returns"] is None
    assert 0 < everything["margin_coverage"] < 1
    assert everything["margin_return_cost"] < everything["return_cost_mid"]
    assert coverage(shops, "euro") == ("partial", "lines_with_unit_cost")


def test_a_currency_without_rates_has_no_costs_and_says_so(shops: Build) -> None:
    found = support.query(
        shops,
        """
        select
            count(*) > 20, sum(returned_lines) > 0, count(return_cost_low), count(return_cost_mid),
            count(return_cost_high), count(markdown_cost), count(cost_per_returned_line),
            count(return_cost_share), count(net_margin_after_returns),
            count(gross_margin_before_returns) > 0
        from marts.return_costs where source = 'francs'
        """,
    )
    assert found == [(True, True, 0, 0, 0, 0, 0, 0, 0, True)]
    assert coverage(shops, "francs") == ("partial", "lines_with_cost_rates")


def test_a_source_that_says_nothing_about_returns_has_no_rows(shops: Build) -> None:
    assert not support.query(shops, "from marts.return_costs where source = 'silent'")
    assert coverage(shops, "silent") == ("empty", "lines_with_recorded_returns")


def test_returns_without_dates_in_a_single_month_cost_what_others_cost(shops: Build) -> None:
    with duckdb.connect(str(shops.warehouse), read_only=True) as connection:
        assert_equal(connection, "undated")
    [(returned, cost)] = support.query(
        shops,
        "select returned_units, return_cost_mid from marts.return_costs"
        " where source = 'undated' and entity_type = 'all'",
    )
    # 1.43 + 2.50 + 1.75 + 0.75 for the line, 1.5 + 2.28 + 0.65 + 0.25 % of 20.00
    assert (returned, cost) == (2, Decimal("7.3660"))


def test_returns_that_name_only_a_product_are_not_lost(shops: Build) -> None:
    with duckdb.connect(str(shops.warehouse), read_only=True) as connection:
        assert_equal(connection, "totals")
    found = support.query(
        shops,
        """
        select entity_type, entity_id, returned_lines, unmatched_returned_units, return_cost_mid
        from marts.return_costs
        where source = 'totals' and entity_type in ('product', 'seller')
        """,
    )
    cost = Decimal("6.4300")
    assert sorted(found) == [("product", "MUG", 0, 2, cost), ("seller", "unknown", 0, 2, cost)]
    assert coverage(shops, "totals") == ("partial", "lines_with_known_return")
