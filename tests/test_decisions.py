"""What is done about lines that may come back, and what it is worth."""

from collections.abc import Iterator

import duckdb
import pytest

from retour.decisions import decision_query

Connection = duckdb.DuckDBPyConnection

LINES = """
    select
        's' as source, null::varchar as marketplace, null::varchar as category,
        null::varchar as payment_method, 1::bigint as quantity, value as ordered_amount,
        0::decimal(18, 4) as unit_cost, p as return_probability, true as is_out_of_sample,
        true as has_signal, false as has_size, 1::bigint as same_product_variants,
        null::double as customer_return_rate, null::bigint as customer_returned_lines_before,
        null::double as product_return_rate, null::double as discount_share
"""


@pytest.fixture
def engine() -> Iterator[Connection]:
    """A rule and rates that are the matrix of methods 3.11."""
    with duckdb.connect() as connection:
        connection.execute(
            """
            create table actions as select
                1::bigint as rule_number, 'warn' as action, '*' as currency, '*' as categories,
                '*' as payment_methods, '*' as feature, 0::double as at_least,
                0.5::double as prevented_share, 0.5::double as lost_sale_share,
                0::decimal(18, 4) as action_cost
            """
        )
        connection.execute(
            """
            create table rates as select
                's' as source, '*' as marketplace, '*' as category, 'EUR' as currency,
                15::decimal(18, 4) as per_line, 0::decimal(18, 4) as per_unit,
                0.5::decimal(18, 4) as refund_share, 0.4::double as usual_margin_share
            """
        )
        yield connection


def decide(connection: Connection, lines: str) -> list[dict]:
    """The rows of the rule by probability."""
    connection.execute(f"create or replace view lines as {lines}")
    query = decision_query(
        columns=["return_probability"], lines="lines", actions="actions", rates="rates"
    )
    return rows(connection, f"select * from ({query}) as decided order by return_probability")


def rows(connection: Connection, query: str) -> list[dict]:
    result = connection.execute(query)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@pytest.mark.parametrize(("value", "threshold"), [(10, 0.3333), (50, 0.5556), (200, 0.6349)])
def test_the_threshold_depends_on_the_value(
    engine: Connection, value: int, threshold: float
) -> None:
    """Miss: half of 5 (3 + v / 10); false alarm: half of v (methods 3.11)."""
    probabilities = ", ".join(f"({number / 1000})" for number in range(1001))
    found = decide(
        engine,
        f"{LINES} from (select {value}::decimal(18, 4) as value, p::double as p"
        f" from (values {probabilities}) as given (p))",
    )
    acted = [row["return_probability"] for row in found if row["recommended_action"] == "warn"]
    shipped = [row["return_probability"] for row in found if row["recommended_action"] == "ship"]
    assert abs(min(acted) - threshold) <= 0.001
    assert max(shipped) < min(acted)
    cost = 5 * (3 + value / 10)
    (row,) = (row for row in found if row["return_probability"] == 0.9)
    assert float(row["loss_if_returned"]) == pytest.approx(cost)
    assert float(row["expected_cost"]) == pytest.approx(0.9 * cost)
    gain = 0.9 * 0.5 * cost - 0.1 * 0.5 * value
    assert float(row["expected_gain"]) == pytest.approx(gain, abs=1e-4)
