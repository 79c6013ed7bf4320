"""What people deliver, end to end: bad files, bad rows, and every shape that returns come in.

A file that cannot be right stops the build with a sentence and changes nothing. A row that cannot
be right is set aside with every reason, and no mart tells that it was ever there.
"""

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from reports.render import PAGES, render
from retour.publish import publish
from tests import support
from tests.support import Build
from tests.test_report import Opened, address

# ------------------------------------------------------------------------------------- whole files


def words_of(result: subprocess.CompletedProcess[str]) -> str:
    """What a command printed, as one line."""
    return " ".join((result.stdout + result.stderr).split())


@pytest.fixture(scope="module")
def copy_of_shop(shop: Build, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The built shop in a folder of its own, with other sources beside it."""
    copy = Build(tmp_path_factory.mktemp("copy") / "of the shop", sources=shop.sources)
    shutil.copytree(shop.raw, copy.raw)
    shutil.copy(shop.warehouse, copy.warehouse)
    return copy


HEADER = "order_id,ordered_at,product_id,quantity,unit_price,customer_id"
LINE = "A1,2025-01-05,shirt,1,20.00,ada"
BAD_FILES = {
    "no_file/returns.csv": "order_line_id,quantity\nL1,1\n",
    "misnamed_file/order-line.csv": f"{HEADER}\n{LINE}\n",
    "empty_file/order_lines.csv": "",
    "missing_column/order_lines.csv": "order_id,ordered_at,product_id,quantity\nA1,2025,x,1\n",
    "renamed_column/order_lines.csv": f"{HEADER}\n{LINE}\n".replace("unit_price", "unit_prize"),
    "wrong_encoding/order_lines.csv": f"{HEADER}\n{LINE}ë\n".encode("latin-1"),
}
# For each source: what the message has to name.
SENTENCES = {
    "no_file": ["no_file/order_lines.csv is missing"],
    "misnamed_file": ["Did you mean 'misnamed_file/order-line.csv' -> 'order_lines'"],
    "empty_file": ["empty_file/order_lines.csv: the file is empty"],
    "missing_column": ["required column 'unit_price' is missing", "'product_id', 'quantity'"],
    "renamed_column": ["Did you mean 'unit_prize' -> 'unit_price'?"],
    "wrong_encoding": ["wrong_encoding/order_lines.csv: it is not in a declared encoding (utf-8)"],
    "shpo": ["unknown source 'shpo'", "Did you mean 'shop'?"],
}


def test_bad_files_stop_the_build_with_a_sentence_each_and_change_nothing(
    copy_of_shop: Build, shop: Build
) -> None:
    for name, content in BAD_FILES.items():
        path = copy_of_shop.raw / name
        path.parent.mkdir()
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = support.build(copy_of_shop, check=False, sources=["shop", *SENTENCES])
    said = words_of(result)
    assert result.returncode != 0
    assert "stopped before anything was changed" in said
    assert "Traceback" not in said
    for source, sentences in SENTENCES.items():
        for sentence in sentences:
            assert sentence in said, source
    support.assert_same_marts(copy_of_shop, shop)


def test_the_command_line_says_the_same_and_publishes_nothing(copy_of_shop: Build) -> None:
    paths = ["--raw", copy_of_shop.raw, "--warehouse", copy_of_shop.warehouse]
    env = support.environment() | {
        "DBT_TARGET_PATH": str(copy_of_shop.target),
        "DBT_LOG_PATH": str(copy_of_shop.target),
    }
    command = [sys.executable, "-m", "retour", "build", "--sources", "shpo", *paths]
    result = support.run(command, env=env)
    assert result.returncode == 1
    said = words_of(result)
    assert "unknown source 'shpo'" in said and "Did you mean 'shop'?" in said
    assert "Traceback" not in said
    assert not copy_of_shop.published.exists()


def test_an_unknown_var_is_named_before_anything_is_built(copy_of_shop: Build) -> None:
    result = support.build(copy_of_shop, check=False, as_of_dat="2025-01-31", random_seed="lucky")
    said = words_of(result)
    assert result.returncode != 0
    assert "unknown var 'as_of_dat'. Did you mean 'as_of_date'?" in said
    assert "var 'random_seed' is \"lucky\", but it must be a whole number" in said
    assert "Traceback" not in said


# -------------------------------------------------------------------------------------------- rows

# A line and a return that would be fine; each defect below changes one thing.
GOOD_LINE = {
    "order_id": "X1",
    "ordered_at": "2025-03-15 10:00:00",
    "customer_id": "ada",
    "product_id": "shirt",
    "quantity": "1",
    "unit_price": "20.00",
    "currency": "EUR",
}
GOOD_RETURN = {"order_line_id": "L10", "quantity": "1", "returned_at": "2025-05-25"}
DEFECTS: list[tuple[str, dict[str, str], str]] = [
    ("order_lines", {"ordered_at": "31/12/2025 10:00"}, "ordered_at_not_a_timestamp"),
    ("order_lines", {"ordered_at": "2025-02-30"}, "ordered_at_not_a_timestamp"),
    ("order_lines", {"ordered_at": ""}, "ordered_at_missing"),
    ("order_lines", {"ordered_at": "1970-01-01"}, "ordered_at_implausible"),
    ("order_lines", {"ordered_at": "2099-12-31"}, "ordered_at_implausible"),
    ("order_lines", {"ordered_at": "infinity"}, "ordered_at_not_a_timestamp"),
    ("order_lines", {"ordered_at": "0044-03-15 (BC)"}, "ordered_at_not_a_timestamp"),
    ("order_lines", {"cancelled_at": "infinity"}, "cancelled_at_not_a_timestamp"),
    ("order_lines", {"delivered_at": "soon"}, "delivered_at_not_a_timestamp"),
    ("order_lines", {"quantity": "0"}, "quantity_not_positive"),
    ("order_lines", {"quantity": "-1"}, "quantity_not_positive"),
    ("order_lines", {"quantity": "two"}, "quantity_not_a_whole_number"),
    ("order_lines", {"quantity": "1.5"}, "quantity_not_a_whole_number"),
    ("order_lines", {"quantity": "1.99999"}, "quantity_not_a_whole_number"),
    ("order_lines", {"quantity": "1_000"}, "quantity_not_a_whole_number"),
    ("order_lines", {"quantity": "2000000000", "unit_price": "1000000"}, "amount_too_large"),
    ("order_lines", {"quantity": ""}, "quantity_missing"),
    ("order_lines", {"unit_price": "20 EUR"}, "unit_price_not_a_number"),
    ("order_lines", {"unit_price": "nan"}, "unit_price_not_a_number"),
    ("order_lines", {"unit_price": "-20.00"}, "unit_price_negative"),
    ("order_lines", {"discount_amount": "20.01"}, "discount_exceeds_price"),
    ("order_lines", {"order_id": " "}, "order_id_missing"),
    ("order_lines", {"product_id": ""}, "product_id_missing"),
    ("order_lines", {"currency": "ZZZ"}, "no_fx_rate_for_currency_and_month"),
    ("order_lines", {"return_status": "perhaps"}, "return_status_unknown"),
    (
        "order_lines",
        {"order_line_id": "L3", "ordered_at": "2025-01-08 12:30:00"},
        "superseded_by_later_delivery",
    ),
    (
        "order_lines",
        {"ordered_at": "x", "quantity": "0", "unit_price": "-1"},
        "ordered_at_not_a_timestamp, quantity_not_positive, unit_price_negative",
    ),
    ("returns", {"returned_at": "2025-05-19"}, "returned_before_sale"),
    ("returns", {"quantity": "2"}, "returned_more_than_sold"),
    ("returns", {"order_line_id": "L2", "returned_at": "2025-02-01"}, "returned_more_than_sold"),
    ("returns", {"order_line_id": "L7"}, "returned_but_never_sold"),
    ("returns", {"returned_at": "25.05.2025"}, "returned_at_not_a_timestamp"),
    ("returns", {"returned_at": "2099-01-01"}, "returned_at_implausible"),
    ("returns", {"returned_at": "infinity"}, "returned_at_not_a_timestamp"),
    ("returns", {"quantity": "0"}, "quantity_not_positive"),
    ("returns", {"quantity": "half"}, "quantity_not_a_whole_number"),
    ("returns", {"refund_amount": "a lot"}, "refund_amount_not_a_number"),
    ("returns", {"refund_amount": "-5"}, "refund_amount_negative"),
    ("returns", {"order_line_id": ""}, "names_no_sale"),
    ("customers", {"customer_id": ""}, "customer_id_missing"),
    ("customers", {"customer_id": "ivy", "created_at": "?"}, "created_at_not_a_timestamp"),
    ("products", {"product_id": "sock", "unit_cost": "?"}, "unit_cost_not_a_number"),
    (
        "reviews",
        {"rating": "9", "reviewed_at": "2025-05-25", "product_id": "hat"},
        "rating_not_1_to_5",
    ),
]
# What a policy sets aside, without any fault of the row.
EXCLUDED: list[tuple[str, dict[str, str]]] = [
    ("order_lines", {"order_id": "TEST-1"}),
    ("order_lines", {"product_id": "POSTAGE"}),
    ("order_lines", {"product_id": "giftcard"}),
    ("returns", {"order_line_id": "", "order_id": "TEST-1"}),
]
# Lines whose number of values is wrong never become rows with columns.
RAGGED = [
    ("order_lines", ["X1", "2025-03-15"], "too_few_values"),
    ("returns", [*"abcdefghijklmn"], "too_many_values"),
]
GOOD = {"order_lines": GOOD_LINE, "returns": GOOD_RETURN}


@pytest.fixture(scope="module")
def soiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, dict[tuple, str]]:
    """The shop with every defect in it, its rows and columns in another order.

    Beside the build: the reason expected for each (file, row_number).
    """
    build = Build(tmp_path_factory.mktemp("soiled"), sources=("shop",))
    mixer = random.Random(7)
    expected = {}
    for name, text in support.SHOP.items():
        header, *rows = support.table(text)
        added = [column for column in ("delivered_at", "note") if name == "order_lines"]
        header = [*header, *added]
        entries = [([*row, *("" for _ in added)], None) for row in rows]
        # the same row once more, in the same file
        entries += [entry for entry in entries if entry[0][0] in ("L1", "R1")]
        entries += [
            ([(GOOD.get(name, {}) | defect).get(column, "") for column in header], reason)
            for table, defect, reason in DEFECTS + [(*e, None) for e in EXCLUDED]
            if table == name
        ]
        order = mixer.sample(range(len(header)), len(header))
        entries = [([row[position] for position in order], reason) for row, reason in entries]
        entries += [(row, reason) for table, row, reason in RAGGED if table == name]
        mixer.shuffle(entries)
        for number, (_, reason) in enumerate(entries, start=1):
            if reason:
                expected[f"shop/{name}.csv", number] = reason
        support.write_table(
            build.raw / "shop" / f"{name}.csv",
            [[header[position] for position in order], *(row for row, _ in entries)],
        )
    support.build(build, *support.WITHOUT_UNIT_TESTS)
    return build, expected


def test_each_bad_row_is_set_aside_with_its_reason(
    soiled: tuple[Build, dict[tuple, str]],
) -> None:
    build, expected = soiled
    found = support.query(build, "select file, row_number, reasons from marts.rejected_rows")
    assert {(file, number): reasons for file, number, reasons in found} == expected
    assert len(found) == len(expected) == len(DEFECTS) + len(RAGGED)


def test_bad_rows_change_nothing_else(soiled: tuple[Build, dict[tuple, str]], shop: Build) -> None:
    """Reordered columns, shuffled rows, defects and exclusions: every other mart is the same."""
    build, _ = soiled
    support.assert_same_marts(build, shop, leave_out=["rejected_rows", "row_reconciliation"])


def test_every_row_of_the_soiled_files_is_accounted_for(
    soiled: tuple[Build, dict[tuple, str]], shop: Build
) -> None:
    build, expected = soiled
    kept = "order_line_rows + return_rows + entity_rows"
    assert support.query(
        build,
        f"""
        select sum({kept}), sum(excluded_rows), sum(rejected_rows), max(abs(rows_difference)),
            max(abs(amount_difference)), sum(order_line_amount), sum(return_amount)
        from marts.row_reconciliation
        """,
    ) == [
        (
            *support.query(shop, f"select sum({kept}) from marts.row_reconciliation")[0],
            len(EXCLUDED) + len(("L1", "R1")),
            len(expected),
            0,
            0,
            *support.query(
                shop,
                "select sum(order_line_amount), sum(return_amount) from marts.row_reconciliation",
            )[0],
        )
    ]


def test_a_rejected_row_shows_what_was_written_but_nobody_by_name(
    soiled: tuple[Build, dict[tuple, str]],
) -> None:
    build, _ = soiled
    ((row,),) = support.query(
        build,
        "select original_row from marts.rejected_rows where reasons = 'discount_exceeds_price'",
    )
    assert '"discount_amount":"20.01"' in row and '"product_id":"shirt"' in row
    assert '"ada"' not in row


# --------------------------------------------------------------------------------------- the shapes

LINES = """
    order_line_id,order_id,ordered_at,customer_id,product_id,quantity,unit_price
    l1,o1,2025-01-05 10:00:00,ada,shirt,2,10.00
    l2,o1,2025-01-05 10:00:00,ada,shoes,1,50.00
    l3,o2,2025-02-05 10:00:00,ada,shirt,3,12.00
    l4,o3,2025-03-05 10:00:00,ben,shirt,1,12.00
    l5,o4,2025-06-30 10:00:00,,hat,1,9.00
"""
TWO_LINES = """\
order_line_id,order_id,ordered_at,customer_id,product_id,quantity,unit_price,currency,return_status
l1,o1,2025-01-05,ada,shirt,2,10.00,EUR,
l2,o2,2025-02-05,ben,shirt,1,10.00,EUR,
"""
NEARLY_EQUAL = [
    "order_line_id,order_id,ordered_at,product_id,quantity,unit_price,country,return_status",
    ",o1,2025-01-05,shirt,1,10.00,DE,returned",
    ",o1,2025-01-05,shirt,1,10.00,DE,",
    "x,o2,2025-01-06,hat,1,5.00,DE,",
    "x,o2,2025-01-06,hat,1,5.00,FR,",
]
# Each is a source of its own; together they are one build.
WORLDS: dict[str, dict[str, str]] = {
    "names_the_line": {
        "order_lines": LINES,
        "returns": """
            order_line_id,quantity,returned_at,refund_amount
            l1,1,2025-01-20,
            l3,3,2025-02-20,30.00
        """,
    },
    "names_the_order": {
        "order_lines": LINES,
        "returns": """
            order_id,product_id,quantity,returned_at
            o1,,1,2025-01-10
            o2,shirt,2,2025-02-10
        """,
    },
    "names_customer_and_product": {
        "order_lines": LINES,
        "returns": """
            customer_id,product_id,quantity,returned_at,refund_amount
            ada,shirt,1,2025-01-04,
            ada,shirt,1,2025-01-20,
            ada,shirt,4,2025-02-20,
            ada,shirt,2,2025-03-20,24.00
            zoe,hat,1,2025-06-30,9.00
        """,
    },
    "names_in_every_way": {
        "order_lines": """
            order_line_id,order_id,ordered_at,customer_id,product_id,quantity,unit_price
            l1,o1,2025-01-05,ada,shirt,1,10.00
            l2,o2,2025-02-05,ada,shirt,1,12.00
        """,
        "returns": """
            order_line_id,customer_id,product_id,quantity,returned_at
            l2,,,1,2025-02-10
            ,ada,shirt,1,2025-02-20
        """,
    },
    "status_on_the_line": {
        "order_lines": """
            order_line_id,order_id,ordered_at,product_id,quantity,unit_price,return_status
            l1,o1,2025-01-05,shirt,2,10.00,Returned
            l2,o1,2025-01-05,shoes,1,50.00,kept
            l3,o2,2025-02-05,shirt,3,12.00,
            l4,o3,2025-03-05,shirt,1,12.00,cancelled
            l5,o4,2025-03-06,shirt,1,12.00,undelivered
            l6,o5,2025-03-07,shirt,1,12.00,unknown
            l7,o6,2025-06-30,hat,1,9.00,kept
            l8,o7,2025-06-30,hat,1,9.00,
        """,
    },
    "returned_orders": {
        "order_lines": LINES,
        "returns": """
            order_id,quantity
            o1,3
            o4,1
        """,
    },
    "totals_per_product": {
        "order_lines": LINES,
        "returns": """
            product_id,quantity,returned_at,refund_amount
            shirt,3,2025-02-28,30.00
            hat,500,2025-03-31,4500.00
        """,
    },
    "no_returns": {"order_lines": LINES},
    "empty_tables": {
        "order_lines": LINES,
        "returns": "order_line_id,quantity",
        "customers": "customer_id",
        "products": "product_id",
        "sellers": "seller_id",
        "reviews": "rating,reviewed_at",
    },
    "one_month": {
        "order_lines": """
            order_id,ordered_at,customer_id,product_id,quantity,unit_price
            o1,2025-01-05,ada,shirt,2,10.00
            o2,2025-01-20,ada,shirt,1,10.00
        """,
        "returns": "order_id,quantity,returned_at\no1,1,2025-01-12",
    },
    "all_guests": {
        "order_lines": """
            order_id,ordered_at,product_id,quantity,unit_price
            o1,2025-01-05,shirt,2,10.00
            o2,2025-03-20,shirt,1,10.00
        """,
        "returns": "order_id,quantity,returned_at\no1,1,2025-01-12",
    },
    "one_day": {
        "order_lines": """
            order_line_id,order_id,ordered_at,customer_id,product_id,quantity,unit_price
            l1,o1,2025-01-05 10:00:00,ada,shirt,2,10.00
            l2,o2,2025-01-05 12:00:00,ben,hat,1,9.00
        """,
        "returns": """
            return_id,order_line_id,returned_at,quantity
            r1,l1,2025-01-05 18:00:00,1
        """,
    },
    "header_only": {"order_lines": HEADER},
    "two_lines": {"order_lines": TWO_LINES},
    # the same two lines, and rows that are rejected or say nothing
    "rejected_later": {"order_lines": TWO_LINES + "l3,o3,2025-03-30,ada,shirt,0,10.00,EUR,"},
    "rejected_currency": {
        "order_lines": TWO_LINES
        + "l3,o3,2025-01-06,ada,shirt,0,10.00,GBP,\n"
        + "l4,o3,2025-01-06,ada,shirt,0,10.00,GBP,\n"
        + "l5,o3,2025-01-06,ada,shirt,0,10.00,GBP,",
    },
    "rejected_status": {
        "order_lines": TWO_LINES + "l3,o3,2025-01-06,ada,shirt,1,10.00,EUR,perhaps"
    },
    "rejected_returns": {
        "order_lines": TWO_LINES,
        "returns": "order_id,quantity,returned_at\no1,0,2025-01-20",
    },
    # rows of one order whose ids are the same, or would be: another order of rows below
    "nearly_equal": {"order_lines": "\n".join(NEARLY_EQUAL)},
    "nearly_equal_reversed": {"order_lines": "\n".join([NEARLY_EQUAL[0], *NEARLY_EQUAL[:0:-1]])},
}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Every world of WORLDS, built together."""
    build = Build(tmp_path_factory.mktemp("worlds"), sources=tuple(WORLDS))
    for source, files in WORLDS.items():
        for name, text in files.items():
            support.write_table(build.raw / source / f"{name}.csv", support.table(text))
    support.build(build, *support.WITHOUT_UNIT_TESTS)
    return build


def returns_of(worlds: Build, source: str) -> list[tuple]:
    """(line, units, refund, method) of each row of returns, in the order of events."""
    return support.query(
        worlds,
        f"""
        select order_line_id, quantity, cast(refund_amount as double), match_method
        from marts.returns where source = '{source}'
        order by returned_at, return_id, allocation_number
        """,
    )


def lines_of(worlds: Build, source: str) -> dict[str, tuple[Any, ...]]:
    """order_line_id: (return_class, is_returned, returned units) of each line."""
    rows = support.query(
        worlds,
        f"""
        select order_line_id, return_class, is_returned, returned_quantity
        from marts.order_lines where source = '{source}'
        """,
    )
    return {line: values for line, *values in rows} if rows else {}


def coverage_of(worlds: Build, source: str) -> dict[str, tuple[str, str]]:
    """mart: (status, reason) of a source."""
    rows = support.query(
        worlds, f"select mart, status, reason from marts.coverage where source = '{source}'"
    )
    return {mart: (status, reason) for mart, status, reason in rows}


def test_returns_that_name_the_line(worlds: Build) -> None:
    assert returns_of(worlds, "names_the_line") == [
        ("L1", 1, 10.0, "order_line"),
        ("L3", 3, 30.0, "order_line"),
    ]


def test_returns_that_name_the_order_take_its_dearest_line_first(worlds: Build) -> None:
    assert returns_of(worlds, "names_the_order") == [
        ("L2", 1, 50.0, "order"),
        ("L3", 2, 24.0, "order_product"),
    ]


def test_returns_that_name_customer_and_product_take_the_latest_sale_with_units_left(
    worlds: Build,
) -> None:
    """Partial quantities over two sales; too early, too many or a stranger's: unmatched."""
    assert returns_of(worlds, "names_customer_and_product") == [
        (None, 1, 0.0, "unmatched"),
        ("L1", 1, 10.0, "customer_product"),
        ("L3", 3, 36.0, "customer_product"),
        ("L1", 1, 10.0, "customer_product"),
        (None, 2, 24.0, "unmatched"),
        (None, 1, 9.0, "unmatched"),
    ]


def test_a_unit_that_a_named_return_took_is_not_given_twice(worlds: Build) -> None:
    """Nor is it looked for elsewhere: DECISIONS.md says why."""
    assert returns_of(worlds, "names_in_every_way") == [
        ("L2", 1, 12.0, "order_line"),
        (None, 1, 0.0, "unmatched"),
    ]
    assert support.query(
        worlds,
        "select unmatched_reason from marts.returns"
        " where source = 'names_in_every_way' and order_line_id is null",
    ) == [("sale_already_returned",)]


def test_a_status_on_the_line_without_a_date(worlds: Build) -> None:
    assert lines_of(worlds, "status_on_the_line") == {
        "L1": ["returned", True, 2],
        "L2": ["kept", False, 0],
        "L3": ["kept", False, 0],
        "L4": ["cancelled", None, 0],
        "L5": ["undelivered", None, 0],
        "L6": ["unknown", None, 0],
        "L7": ["kept", False, 0],
        "L8": ["open", False, 0],
    }
    assert returns_of(worlds, "status_on_the_line") == [("L1", 2, 20.0, "line_status")]
    assert support.query(
        worlds,
        "select returned_at, cast(booked_date as varchar) from marts.returns "
        "where source = 'status_on_the_line'",
    ) == [(None, "2025-01-05")]
    status, reason = coverage_of(worlds, "status_on_the_line")["returns"]
    assert status == "partial" and "no date" in reason


def test_a_table_of_returned_orders(worlds: Build) -> None:
    """Without dates: all units of the order, booked on the day of the sale."""
    found = lines_of(worlds, "returned_orders")
    assert {line: units for line, (_, _, units) in found.items()} == {
        **{"L1": 2, "L2": 1, "L3": 0, "L4": 0, "L5": 1}
    }
    assert sum(refund for _, _, refund, _ in returns_of(worlds, "returned_orders")) == 79.0


def test_totals_per_product_say_nothing_about_a_line(worlds: Build) -> None:
    found = lines_of(worlds, "totals_per_product")
    assert list(found.values()) == [["unknown", None, 0]] * 5


def test_totals_per_product_are_counted_but_joined_to_no_sale(worlds: Build) -> None:
    """500 hats came back and one was sold: no rate exceeds 1, and nothing is lost."""
    assert returns_of(worlds, "totals_per_product") == [
        (None, 3, 30.0, "unmatched"),
        (None, 500, 4500.0, "unmatched"),
    ]
    assert support.query(
        worlds,
        """
        select product_id, units, returned_units, unmatched_returned_units,
            cast(unmatched_refund_amount as double), return_rate
        from marts.product_performance where source = 'totals_per_product' order by product_id
        """,
    ) == [
        ("HAT", 1, 0, 500, 4500.0, 0.0),
        ("SHIRT", 6, 0, 3, 30.0, 0.0),
        ("SHOES", 1, 0, 0, 0.0, 0.0),
    ]
    status, reason = coverage_of(worlds, "totals_per_product")["returns"]
    assert status == "partial" and "name no sale" in reason


@pytest.mark.parametrize("source", ["no_returns", "empty_tables"])
def test_without_returns_nobody_knows_whether_a_line_came_back(worlds: Build, source: str) -> None:
    assert list(lines_of(worlds, source).values()) == [["unknown", None, 0]] * 5
    coverage = coverage_of(worlds, source)
    assert coverage["returns"][0] == "empty"
    assert coverage["order_lines"][0] == "partial" and "NULL" in coverage["order_lines"][1]


def test_a_single_month(worlds: Build) -> None:
    where = "where source = 'one_month'"
    assert support.query(
        worlds,
        f"""
        select orders, units, cast(gross_revenue as double), cast(net_revenue as double),
            is_complete from marts.kpis_monthly {where}
        """,
    ) == [(2, 3, 30.0, 20.0, False)]
    assert support.query(
        worlds,
        "select month_number, cohort_size, active_customers, retention_rate "
        f"from marts.cohort_retention {where}",
    ) == [(0, 1, 1, None)]
    assert support.query(worlds, f"select frequency from marts.customer_rfm {where}") == [(2,)]


def test_only_guests(worlds: Build) -> None:
    """They stay in the sales; the marts of customers are empty and coverage says why."""
    where = "where source = 'all_guests'"
    for mart in ("customers", "customer_rfm", "cohort_retention"):
        assert support.query(worlds, f"select count(*) from marts.{mart} {where}") == [(0,)]
        status, reason = coverage_of(worlds, "all_guests")[mart]
        assert status == "empty" and ("Guests" in reason or "customer" in reason)
    assert support.query(
        worlds,
        "select customer_group, customers, orders, cast(net_revenue as double) "
        f"from marts.revenue_by_customer_group {where}",
    ) == [("Guest", 0, 2, 20.0)]


def test_only_a_header(worlds: Build) -> None:
    """No line: every mart of the source is empty, and two of them say so."""
    assert lines_of(worlds, "header_only") == {}
    coverage = coverage_of(worlds, "header_only")
    assert coverage["order_lines"] == ("empty", "No order line was read")
    assert support.query(
        worlds, "select status, message from marts.load_files where source = 'header_only'"
    ) == [("loaded", "no rows")]


def assert_same_source(worlds: Build, found: str, expected: str) -> None:
    """Two sources have the same rows in the marts that everything else is made from."""
    for mart in ("order_lines", "returns", "kpis_monthly", "coverage"):
        rows = [
            support.query(
                worlds,
                f"select columns(lambda c: c not in ('source', 'file', 'row_number'))"
                f" from marts.{mart} "
                f"where source = '{source}' order by all",
            )
            for source in (found, expected)
        ]
        assert rows[0] == rows[1], mart


@pytest.mark.parametrize(
    "source", ["rejected_later", "rejected_currency", "rejected_status", "rejected_returns"]
)
def test_a_rejected_row_moves_no_date_no_currency_and_no_coverage(
    worlds: Build, source: str
) -> None:
    """The facts about a source come from rows that are true."""
    assert_same_source(worlds, source, "two_lines")


def test_rows_that_differ_in_little_are_told_apart_whatever_their_order(worlds: Build) -> None:
    """Two lines without an id that differ in the status; one id with two countries."""
    assert_same_source(worlds, "nearly_equal_reversed", "nearly_equal")


def test_worlds_built_together_reconcile(worlds: Build) -> None:
    assert support.query(
        worlds,
        """
        select count(distinct source), max(abs(rows_difference)), max(abs(amount_difference)),
            max(case when source not like '%rejected%' then rejected_rows else 0 end)
        from marts.row_reconciliation where source not like 'nearly%'
        """,
    ) == [(len(WORLDS) - 2, 0, 0, 0)]


@pytest.mark.parametrize("source", ["no_returns", "empty_tables", "header_only"])
def test_without_returns_no_mart_says_that_nothing_came_back(worlds: Build, source: str) -> None:
    coverage = coverage_of(worlds, source)
    for mart in ("return_basis_bridge", "return_triangle", "return_change"):
        where = f"where source = '{source}'"
        assert support.query(worlds, f"select count(*) from marts.{mart} {where}") == [(0,)]
        assert coverage[mart][0] == "empty" and coverage[mart][1]


def test_returns_without_a_date_have_no_age(worlds: Build) -> None:
    where = "where source = 'status_on_the_line'"
    assert support.query(
        worlds,
        "select cast(event_date as varchar), sale_date_key, days_between, undated_units "
        f"from marts.return_basis_bridge {where}",
    ) == [("2025-01-05", "2025-01-05", 0, 2)]
    assert support.query(
        worlds,
        "select cast(sale_month as varchar), age_week, sold_units, returned_units,"
        " cumulative_returned_units, cumulative_unit_rate"
        f" from marts.return_triangle {where} and entity_type = 'all' order by sale_month",
    ) == [
        ("2025-01-01", -1, 3, 2, None, None),
        ("2025-02-01", -1, 3, 0, None, None),
        ("2025-03-01", -1, 1, 0, None, None),
        ("2025-06-01", -1, 2, 0, None, None),
    ]
    status, reason = coverage_of(worlds, "status_on_the_line")["return_triangle"]
    assert status == "partial" and "no date" in reason


def test_a_single_month_has_a_triangle_and_nothing_to_be_compared_with(worlds: Build) -> None:
    where = "where source = 'one_month'"
    assert support.query(
        worlds,
        "select age_week, returned_units, cumulative_returned_units, is_complete"
        f" from marts.return_triangle {where} and entity_type = 'all' order by age_week",
    ) == [(0, 0, 0, False), (1, 1, 1, False), (2, 0, 1, False)]
    assert support.query(worlds, f"select count(*) from marts.return_change {where}") == [(0,)]
    status, reason = coverage_of(worlds, "one_month")["return_change"]
    assert status == "empty" and "history" in reason


@pytest.mark.one_engine
@pytest.mark.parametrize("source", ["no_returns", "one_day", "one_month", "two_lines"])
def test_every_page_of_the_report_says_what_a_poor_source_lacks(
    worlds: Build, chrome: Browser, tmp_path: Path, source: str
) -> None:
    published = publish(Path(shutil.copy(worlds.warehouse, tmp_path))).path
    report = render(published, tmp_path / "report").path.parent
    tab = Opened(chrome)
    for one in PAGES:
        page = tab.open(address(report, one.name, f"source={source}"))
        text = page.locator("main").inner_text()
        assert page.evaluate("document.body.dataset.failed") is None, one.name
        assert not re.search(r"\b(undefined|NaN|Infinity|null)\b", text), one.name
        # what cannot be drawn is said in a sentence
        assert all(len(said) > 10 for said in page.locator(".empty").all_inner_texts()), one.name
    assert tab.errors == []
    tab.close()
