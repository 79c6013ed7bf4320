"""The two shipped kinds of source: Online Retail in every published form, and both together."""

import csv
import gzip
import io
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tests import support
from tests.support import Build

# Invoice, StockCode, Description, Quantity, InvoiceDate, Price, Customer ID, Country
Row = tuple[str, str, str, int, datetime, str, str, str]
START = datetime(2010, 1, 4, 8, 26)
# Each file covers as many days and begins so many days after the one before: nine in common.
DAYS_OF_A_FILE = 29
STEP_DAYS = DAYS_OF_A_FILE - 9


def invoices(days: int) -> list[Row]:
    """Lines of so many days of trade: every row is written by rule, nothing is random.

    With repeats inside invoices, credit notes in parts, guests written in two ways, codes in both
    cases, postage, a stock write-off, a free item and letters beyond ASCII.
    """
    products = {
        "85123A": ("WHITE HANGING HEART T-LIGHT HOLDER", "2.55"),
        "85123a": ("WHITE HANGING HEART T-LIGHT HOLDER", "2.55"),
        "22041": ('RECORD FRAME 7" SINGLE SIZE, BLACK', "1.95"),
        "21232": ("CAFÉ £5 GIFT TIN", "1.25"),
        "POST": ("POSTAGE", "18.00"),
    }
    codes = list(products)
    rows: list[Row] = []
    for day in range(days):
        at = START + timedelta(days=day)
        customer = ("12346", "13085", "", "14911", "0")[day % 5]
        country = ("United Kingdom", "France", "EIRE")[day % 3]
        lines = [codes[(day + offset) % len(codes)] for offset in range(3)]
        # the line that stands twice is two sales
        for code in [*lines, lines[0]]:
            name, price = products[code]
            invoice = f"{500_000 + day}"
            rows.append((invoice, code, name, 2 + day % 4, at, price, customer, country))
        if day % 4 == 3:
            back, name = lines[0], products[lines[0]][0]
            later = at + timedelta(hours=3)
            price = products[back][1]
            rows.append((f"C{500_000 + day}", back, name, -3, later, price, customer, country))
        if day % 10 == 5:
            rows.append((f"{600_000 + day}", "22041", "damaged", -7, at, "0", "", country))
            rows.append((f"{700_000 + day}", "21232", "found", 4, at, "0", "", country))
    return rows


def as_csv(header: str, rows: list[list[str]], encoding: str = "utf-8") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def values(row: Row, date_format: str) -> list[str]:
    *before, quantity, at, price, customer, country = row
    return [*map(str, before), str(quantity), f"{at:{date_format}}", price, customer, country]


def american(at: datetime) -> str:
    """12/1/2010 8:26, without leading zeros."""
    return f"{at.month}/{at.day}/{at.year} {at.hour}:{at.minute:02}"


def second_edition(path: Path, rows: list[Row]) -> None:
    """Online Retail II as CSV: blanks in a header, ISO dates, UTF-8."""
    header = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"
    path.with_suffix(".csv").write_bytes(
        as_csv(header, [values(row, "%Y-%m-%d %H:%M:%S") for row in rows])
    )


def first_edition(path: Path, rows: list[Row]) -> None:
    """Online Retail as it circulates: American dates, Latin-1, whole customers as decimals."""
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
    written = []
    for row in rows:
        invoice, code, name, quantity, _, price, customer, country = values(row, "%Y")
        customer = f"{customer}.0" if customer not in ("", "0") else customer
        fields = [invoice, code, name, quantity, american(row[4]), price, customer, country]
        written.append(fields)
    path.with_suffix(".csv").write_bytes(as_csv(header, written, "latin-1"))


def with_total(path: Path, rows: list[Row]) -> None:
    """The edition with a column of totals, columns in another order, compressed."""
    header = (
        "InvoiceNo,ProductName,Price,CustomerID,TotalAmount,StockCode,Quantity,InvoiceDate,Country"
    )
    written = []
    for row in rows:
        invoice, code, name, quantity, at, price, customer, country = values(
            row, "%Y-%m-%d %H:%M:%S"
        )
        total = f"{row[3] * float(price):.2f}"
        written.append([invoice, name, price, customer, total, code, quantity, at, country])
    path.with_suffix(".csv.gz").write_bytes(gzip.compress(as_csv(header, written)))


def parquet(path: Path, rows: list[Row], types: dict[str, str]) -> None:
    """A Parquet file; columns without a type are text."""
    work = path.with_name(f"_{path.name}")
    second_edition(work, rows)
    source = work.with_suffix(".csv")
    header = source.read_text(encoding="utf-8").splitlines()[0].split(",")
    columns = ", ".join(
        f'cast("{name}" as {types.get(name, "varchar")}) as "{name}"' for name in header
    )
    duckdb.execute(
        f"copy (select {columns} from read_csv('{source}', all_varchar = true)) "
        f"to '{path.with_suffix('.parquet')}'"
    )
    source.unlink()


def text_parquet(path: Path, rows: list[Row]) -> None:
    """All columns as text."""
    parquet(path, rows, {})


def typed_parquet(path: Path, rows: list[Row]) -> None:
    """As pandas writes it: whole numbers, floats, timestamps, customers as floats."""
    types = {"Quantity": "bigint", "InvoiceDate": "timestamp", "Price": "double"}
    parquet(path, rows, types | {"Customer ID": "double"})


VARIANTS: list[Callable[[Path, list[Row]], None]] = [
    *(second_edition, first_edition, with_total, text_parquet, typed_parquet)
]
DAYS = STEP_DAYS * (len(VARIANTS) - 1) + DAYS_OF_A_FILE


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """All days in one file."""
    build = Build(tmp_path_factory.mktemp("one_file"), sources=("online_retail",))
    folder = build.raw / "online_retail"
    folder.mkdir(parents=True)
    second_edition(folder / "all", invoices(DAYS))
    support.build(build, *support.WITHOUT_UNIT_TESTS)
    return build


def test_the_world_has_what_the_tests_are_about(one_file: Build) -> None:
    """Repeats inside invoices stay, credit notes find sales, guests and policies are there."""
    repeats, guests, matched, excluded = support.query(
        one_file,
        """
        select
            (
                select count(*) from (
                    select 1 from marts.order_lines
                    group by order_id, product_id having count(*) > 1
                )
            ),
            (select count(*) from marts.orders where customer_id is null),
            (select count(*) from marts.returns where order_line_id is not null),
            (select sum(excluded_rows) from marts.row_reconciliation)
        """,
    )[0]
    assert repeats > DAYS / 2 and guests > DAYS / 3 and matched > 5 and excluded > DAYS / 3
    assert support.query(
        one_file, "select count(*) from marts.products where product_id = '85123a'"
    ) == [(0,)]


def test_overlapping_files_in_every_published_form_count_once(
    one_file: Build, tmp_path: Path
) -> None:
    """Five editions share nine days each with the next: the same marts as from one file.

    Days that only one file has would differ if that edition were read wrongly, shared days if the
    same line looked different in two editions. A line that stands twice in an invoice stays two.
    """
    several = Build(tmp_path, sources=one_file.sources)
    folder = several.raw / "online_retail"
    folder.mkdir(parents=True)
    rows = invoices(DAYS)
    shared = 0
    for number, variant in enumerate(VARIANTS):
        first = (START + timedelta(days=number * STEP_DAYS)).date()
        last = first + timedelta(days=DAYS_OF_A_FILE - 1)
        chosen = [row for row in rows if first <= row[4].date() <= last]
        variant(folder / f"{number} {variant.__name__}", chosen)
        shared += len(chosen)
    shared -= len(rows)
    support.build(several, *support.WITHOUT_UNIT_TESTS)
    support.assert_same_marts(several, one_file, leave_out=["row_reconciliation"])
    assert support.query(
        several, "select count(*), count(distinct encoding), sum(rows_read) from marts.load_files"
    ) == [(len(VARIANTS), 2, len(rows) + shared)]
    duplicates = "select sum(excluded_rows), sum(order_line_rows) from marts.row_reconciliation"
    ((excluded, lines),) = support.query(several, duplicates)
    ((excluded_before, lines_before),) = support.query(one_file, duplicates)
    assert lines == lines_before
    assert excluded == excluded_before + shared


def test_sources_built_together_are_the_same_as_each_alone(
    one_file: Build, shop: Build, tmp_path: Path
) -> None:
    """Into a warehouse that already holds one of them; every mart has `source` in its key."""
    both = Build(tmp_path, sources=("shop", "online_retail"))
    shutil.copy(one_file.warehouse, both.warehouse)
    for alone in (one_file, shop):
        shutil.copytree(alone.raw, both.raw, dirs_exist_ok=True)
    support.build(both, *support.WITHOUT_UNIT_TESTS)
    support.assert_same_marts(both, shop, source="shop")
    support.assert_same_marts(both, one_file, source="online_retail")
    for mart in ("order_lines", "customer_rfm", "cohort_retention", "kpis_monthly", "coverage"):
        sources = support.query(both, f"select distinct source from marts.{mart} order by source")
        assert sources == [("online_retail",), ("shop",)], mart
