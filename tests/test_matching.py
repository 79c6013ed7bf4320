"""The evidence for "latest earlier sale first": both rules replayed in Python, counted, compared.

DECISIONS.md quotes these figures; run with `-s` to see them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NamedTuple

import duckdb

from tests.support import Build

EVENTS = """
with returned as (
    select
        source,
        customer_id,
        product_id,
        return_id,
        max(returned_at) as returned_at,
        sum(quantity) as quantity,
        cast(sum(original_refund_amount) / sum(quantity) as decimal(18, 4)) as price
    from marts.returns
    where match_method = 'customer_product'
        or match_method = 'unmatched' and order_id is null and customer_id is not null
    group by source, customer_id, product_id, return_id
)

select customer_id, product_id, ordered_at as at, 0 as is_return, order_line_id as id,
    quantity, unit_price as price
from marts.order_lines
where quantity > 0 and (customer_id, product_id) in (select (customer_id, product_id) from returned)
union all
select customer_id, product_id, returned_at, 1, return_id, quantity, price
from returned
order by 1, 2, 3, 4, 7, 5
"""


class Match(NamedTuple):
    """Units of one return taken from one sale, and how many sales had units left then."""

    return_id: str
    order_line_id: str
    quantity: int
    return_price: Decimal
    sale_price: Decimal
    choices: int


def replay(connection: duckdb.DuckDBPyConnection, latest_first: bool) -> Iterator[Match]:
    sales: dict[tuple, list[list]] = defaultdict(list)
    for customer, product, _, is_return, id_, quantity, price in connection.execute(
        EVENTS
    ).fetchall():
        stock = sales[customer, product]
        if not is_return:
            stock.append([id_, quantity, price])
            continue
        left = [sale for sale in stock if sale[1] > 0]
        for sale in reversed(left) if latest_first else left:
            taken = min(quantity, sale[1])
            sale[1] -= taken
            quantity -= taken
            yield Match(id_, sale[0], taken, price, sale[2], len(left))
            if quantity == 0:
                break


def share(matches: list[Match], is_right: Callable[[Match], bool]) -> float:
    """Share of the matched units for which `is_right` holds."""
    right = sum(match.quantity for match in matches if is_right(match))
    return float(right / sum(match.quantity for match in matches))


def test_the_latest_sale_is_the_true_one_more_often_than_the_oldest(
    demo: Build, marts: duckdb.DuckDBPyConnection
) -> None:
    truth = dict(
        marts.execute(
            "select upper(return_id), line_id from read_parquet(?)",
            [str(demo.raw.parent / "truth" / "demo" / "return_truth*.parquet")],
        ).fetchall()
    )

    def is_true(match: Match) -> bool:
        return truth.get(match.return_id) == match.order_line_id

    found = {}
    for latest_first in (True, False):
        matches = list(replay(marts, latest_first))
        open_choice = [match for match in matches if match.choices > 1]
        found[latest_first] = share(matches, is_true), share(open_choice, is_true)
    print(f"\ndemo, true line found (all, where there was a choice): {found}")
    assert found[True][0] > 0.88
    assert found[True][1] > found[False][1]


def test_credit_notes_have_the_price_of_the_latest_sale_more_often_than_of_the_oldest(
    online_retail_marts: duckdb.DuckDBPyConnection,
) -> None:
    found = {}
    for latest_first in (True, False):
        matches = list(replay(online_retail_marts, latest_first))
        found[latest_first] = share(matches, lambda match: match.return_price == match.sale_price)
    print(f"\nOnline Retail II, units credited at the price of the sale: {found}")
    assert found[True] > found[False]


def test_the_models_match_what_the_replay_matches(
    online_retail_marts: duckdb.DuckDBPyConnection,
) -> None:
    expected: dict[tuple, int] = defaultdict(int)
    for match in replay(online_retail_marts, latest_first=True):
        expected[match.return_id, match.order_line_id] += match.quantity
    built = {
        (return_id, order_line_id): quantity
        for return_id, order_line_id, quantity in online_retail_marts.execute(
            "select return_id, order_line_id, quantity from marts.returns"
            " where order_line_id is not null"
        ).fetchall()
    }
    assert built == expected
