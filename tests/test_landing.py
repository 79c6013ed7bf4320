"""Landing: every trap that raw files set, one test each, on plain DuckDB connections."""

import csv
import datetime as dt
import gzip
import io
import json
import os
import random
import shutil
import sys
import types
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from retour.errors import RetourError
from retour.landing import LoadFile, land
from retour.settings import LandingError, check_vars, resolve
from tests.support import ONLINE_RETAIL_FILE, ROOT

HEADER = "order_id,ordered_at,product_id,quantity,unit_price,colour"
LINES = (
    "O1,2025-01-01,P1,1,9.99,red",
    "O2,2025-01-02,P2,2,5.00,",
    "O3,2025-01-03,P3,1,7.50,blue",
)
COLUMNS = HEADER.split(",")


class Lab:
    """A raw folder of its own, and a warehouse to land it into."""

    def __init__(self, folder: Path) -> None:
        self.raw = folder / "raw"
        self.raw.mkdir()
        self.ops = folder / "ops"
        self.project = ROOT
        self.conn = duckdb.connect(config={"threads": 2})
        self.said: list[str] = []

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def write_lines(self, *lines: str, name: str = "shop/order_lines.csv", end: str = "\n") -> Path:
        return self.write(name, "".join(line + end for line in (HEADER, *lines)))

    def write_parquet(self, query: str, name: str = "shop/order_lines.parquet") -> Path:
        path = self.raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        duckdb.sql(f"copy ({query}) to '{path}' (format parquet)")
        return path

    def land(self, *sources: str) -> list[LoadFile]:
        return land(
            self.conn,
            raw_dir=self.raw,
            sources=list(sources or ["shop"]),
            project_dir=self.project,
            ops_dir=self.ops,
            say=self.said.append,
        )

    def problem(self, *sources: str) -> str:
        """What landing refuses to do, as one text."""
        with pytest.raises(LandingError) as caught:
            self.land(*sources)
        return str(caught.value)

    def rows(
        self, columns: str = ", ".join(COLUMNS), table: str = "canonical__order_lines"
    ) -> list:
        return self.query(f"select {columns} from raw.{table} order by source, file, row_number")

    def query(self, sql: str) -> list[tuple]:
        return self.conn.execute(sql).fetchall()

    def rejected(self) -> list[tuple]:
        return self.query(
            "select row_number, reason, original_row from raw.rejected_lines order by 1"
        )


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def split(*lines: str) -> list[tuple]:
    return [tuple(value or None for value in line.split(",")) for line in lines]


# --- columns are found by name -------------------------------------------------------------------


def test_rows_land_as_text_with_source_file_and_number(lab: Lab) -> None:
    lab.write_lines(*LINES)
    (entry,) = lab.land()
    assert lab.rows() == split(*LINES)
    assert lab.rows("source, file, row_number")[2] == ("shop", "shop/order_lines.csv", 3)
    assert (entry.rows_read, entry.rows_landed, entry.rows_rejected) == (3, 3, 0)
    assert (entry.status, entry.format, entry.encoding) == ("loaded", "csv", "utf-8")
    types_ = dict(
        lab.query(
            "select column_name, data_type from duckdb_columns() "
            "where table_name = 'canonical__order_lines'"
        )
    )
    assert types_.pop("row_number") == "BIGINT"
    assert set(types_.values()) == {"VARCHAR"}


def test_a_column_the_file_lacks_is_null(lab: Lab) -> None:
    lab.write_lines(*LINES)
    lab.land()
    assert set(lab.rows("country, extra_columns")) == {(None, None)}


def test_every_declared_table_exists(lab: Lab) -> None:
    lab.write_lines(*LINES)
    lab.land()
    tables = {name for (name,) in lab.query("select table_name from duckdb_tables()")}
    assert {"canonical__returns", "canonical__sellers", "online_retail__lines"} <= tables
    assert not {name for name in tables if name.endswith("__landing")}


def test_reordered_columns_land_the_same(lab: Lab) -> None:
    lab.write(
        "shop/order_lines.csv", "unit_price,quantity,order_id,product_id,ordered_at\n5,2,O,P,D\n"
    )
    lab.land()
    assert lab.rows("order_id, ordered_at, product_id, quantity, unit_price") == [
        ("O", "D", "P", "2", "5")
    ]


def test_headers_match_whatever_their_case_blanks_and_punctuation(lab: Lab) -> None:
    lab.write(
        "shop/order_lines.csv", 'Order ID,"Ordered-At",PRODUCT.ID, quantity ,UnitPrice\na,b,c,d,e\n'
    )
    lab.land()
    assert lab.rows("order_id, ordered_at, product_id, quantity, unit_price") == [tuple("abcde")]


@pytest.mark.parametrize(
    "header",
    [
        "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country",
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
        "InvoiceNo,StockCode,ProductName,Quantity,InvoiceDate,Price,CustomerID,Country,TotalAmount",
    ],
)
def test_every_published_header_of_online_retail(lab: Lab, header: str) -> None:
    values = ",".join("123456789"[: header.count(",") + 1])
    lab.write("online_retail/any name.csv", f"{header}\n{values}\n")
    lab.land("online_retail")
    names = "invoice, stock_code, description, quantity, invoice_date, price, customer_id, country"
    assert lab.rows(names, "online_retail__lines") == [tuple("12345678")]
    assert lab.rows("extra_columns", "online_retail__lines") == [(None,)]


def test_an_undeclared_column_is_kept_and_named(lab: Lab) -> None:
    lab.write(
        "shop/order_lines.csv",
        'order_id,gift "note",ordered_at,product_id,quantity,,unit_price\n'
        '1,"for ""you""",d,p,q,x,u\n2,,d,p,q,,u\n',
    )
    (entry,) = lab.land()
    extras = [json.loads(extra) for (extra,) in lab.rows("extra_columns")]
    assert extras == [
        {'gift "note"': 'for "you"', "(column 6)": "x"},
        {'gift "note"': None, "(column 6)": None},
    ]
    assert 'gift "note"' in entry.message and "undeclared" in entry.message


def test_an_optional_column_that_looks_misspelled_is_named(lab: Lab) -> None:
    lab.write("shop/order_lines.csv", f"{HEADER.replace('colour', 'coluor')}\n{LINES[0]}\n")
    (entry,) = lab.land()
    assert "did you mean 'coluor' -> 'colour'" in entry.message


# --- headers that stop the build -----------------------------------------------------------------


def test_a_missing_required_column_names_the_misspelled_one(lab: Lab) -> None:
    lab.write("shop/order_lines.csv", f"{HEADER.replace('unit_price', 'unit_prcie')}\n{LINES[0]}\n")
    said = lab.problem()
    assert "shop/order_lines.csv" in said
    assert "Did you mean 'unit_prcie' -> 'unit_price'" in said
    assert "canonical__sources.yml" in said


def test_a_missing_required_column_lists_what_the_file_has(lab: Lab) -> None:
    lab.write("online_retail/a.csv", "Invoice,StockCode,Quantity,InvoiceDate,Country\n1,2,3,4,5\n")
    said = lab.problem("online_retail")
    assert "'price'" in said and "'UnitPrice'" in said and "'Country'" in said


def test_a_header_that_stands_twice(lab: Lab) -> None:
    lab.write("shop/order_lines.csv", f"{HEADER},quantity\n{LINES[0]},2\n")
    assert "'quantity' stands 2 times" in lab.problem()


def test_two_headers_for_one_column(lab: Lab) -> None:
    header = "Invoice,StockCode,Quantity,InvoiceDate,Price,UnitPrice"
    lab.write("online_retail/a.csv", f"{header}\n1,2,3,4,5,6\n")
    said = lab.problem("online_retail")
    assert "'Price' and 'UnitPrice' both mean the column price" in said


def test_another_delimiter_is_recognised(lab: Lab) -> None:
    lab.write("shop/order_lines.csv", HEADER.replace(",", ";") + "\n")
    said = lab.problem()
    assert "delimiter: ';'" in said


@pytest.mark.parametrize("content", [b"", b"\n", b"  \r\n", b"\xef\xbb\xbf"])
def test_an_empty_file(lab: Lab, content: bytes) -> None:
    lab.write("shop/order_lines.csv", content)
    assert "empty" in lab.problem()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_only_a_header_is_loaded_with_a_message(lab: Lab, end: str) -> None:
    lab.write_lines(end=end)
    (entry,) = lab.land()
    assert (entry.status, entry.rows_read, entry.message) == ("loaded", 0, "no rows")


def test_a_header_whose_quote_never_closes(lab: Lab) -> None:
    lab.write("shop/order_lines.csv", f'"{HEADER}\n{LINES[0]}\n')
    assert "header cannot be read" in lab.problem()


# --- encodings -----------------------------------------------------------------------------------


def test_a_byte_order_mark_is_no_part_of_the_first_header(lab: Lab) -> None:
    lab.write("shop/order_lines.csv", "\ufeff" + f"{HEADER}\n{LINES[0]}\n")
    lab.land()
    assert lab.rows() == split(LINES[0])


def test_latin_1_has_to_be_declared(lab: Lab) -> None:
    content = f"{HEADER}\n{LINES[0]}\nO9,d,p,1,2,café\n"
    lab.write("shop/order_lines.csv", content.encode("latin-1"))
    said = lab.problem()
    assert "line 3" in said and "0xE9" in said
    assert "encodings: [utf-8, latin-1]" in said and "canonical__sources.yml" in said


def test_latin_1_is_read_where_it_is_declared(lab: Lab) -> None:
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
    content = f"{header}\n1,2,CAFÉ £1,4,5,6,7,8\n"
    lab.write("online_retail/latin.csv", content.encode("latin-1"))
    lab.write("online_retail/utf.csv", content.encode("utf-8"))
    first, second = lab.land("online_retail")
    assert (first.encoding, second.encoding) == ("latin-1", "utf-8")
    assert lab.rows("description", "online_retail__lines") == [("CAFÉ £1",)] * 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_recognised(lab: Lab, encoding: str) -> None:
    lab.write("shop/order_lines.csv", f"{HEADER}\n{LINES[0]}\n".encode(encoding))
    said = lab.problem()
    assert "UTF-16" in said and "encodings: [utf-8, utf-16]" in said


def test_utf_16_is_read_where_it_is_declared(lab: Lab, tmp_path: Path) -> None:
    lab.project = project_with(tmp_path, "encodings: [utf-8]", "encodings: [utf-16, utf-8]")
    lab.write("shop/order_lines.csv", f"{HEADER}\nO1,d,p,1,2,grün\n".encode("utf-16"))
    lab.land()
    assert lab.rows("colour") == [("grün",)]


def test_damaged_lines_of_a_utf_8_file_are_rejected(lab: Lab) -> None:
    good = "O1,d,p,1,2,grün\n".encode()
    lab.write(
        "shop/order_lines.csv",
        HEADER.encode() + b"\n" + good + b"O2,d,p,1,2,gr\xfcn\n" + good + good,
    )
    lab.land()
    assert lab.rejected() == [(2, "not_utf_8", "O2,d,p,1,2,gr\\xfcn")]
    assert lab.rows("row_number, colour") == [(1, "grün"), (3, "grün"), (4, "grün")]


# --- lines that cannot become rows ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("O2,2025-01-02,P2", "too_few_values"),
        ("O2,2025-01-02,P2,2,5.00,red,more", "too_many_values"),
        ('O2,2025-01-02,"P2,2,5.00,red', "broken_quotes"),
        ('O2,2025-01-02,"P2"x,2,5.00,red', "broken_quotes"),
        ('O2,2025-01-02,"a \\"b\\" c",2,5.00,red', "broken_quotes"),
        ("   ", "too_few_values"),
    ],
)
def test_a_broken_line_is_set_aside_alone(lab: Lab, line: str, reason: str) -> None:
    lab.write_lines(LINES[0], line, LINES[2])
    (entry,) = lab.land()
    assert lab.rejected() == [(2, reason, line)]
    assert lab.rows() == split(LINES[0], LINES[2])
    assert lab.rows("row_number") == [(1,), (3,)]
    assert (entry.rows_read, entry.rows_landed, entry.rows_rejected) == (3, 2, 1)
    assert f"1 {reason}" in entry.message


def test_a_cut_last_line_is_rejected(lab: Lab) -> None:
    lab.write("shop/order_lines.csv", f"{HEADER}\n{LINES[0]}\n{LINES[1][:14]}")
    lab.land()
    assert lab.rejected() == [(2, "too_few_values", LINES[1][:14])]


def test_a_nul_byte_rejects_its_line(lab: Lab) -> None:
    lab.write_lines(LINES[0], "O2,d,P\0,1,2,red", LINES[2])
    lab.land()
    assert lab.rejected() == [(2, "nul_byte", "O2,d,P\\x00,1,2,red")]
    assert len(lab.rows()) == 2


def test_an_endless_line_is_rejected(lab: Lab) -> None:
    lab.write_lines(LINES[0], f"O2,d,p,1,2,{'x' * 2_500_000}", LINES[2])
    lab.land()
    assert [(number, reason) for number, reason, _ in lab.rejected()] == [(2, "line_too_long")]


def test_a_long_value_lands(lab: Lab) -> None:
    lab.write_lines(f"O2,d,p,1,2,{'é' * 100_000}", "O3,d")
    lab.land()
    assert len(lab.rows("colour")[0][0]) == 100_000


def test_quoted_newlines_and_delimiters_are_kept(lab: Lab) -> None:
    lab.write_lines('O1,d,"P,1\nand ""more""\r\n",1,2,red', "short", LINES[2])
    lab.land()
    assert lab.rows("product_id") == [('P,1\nand "more"\r\n',), ("P3",)]
    assert lab.rejected() == [(2, "too_few_values", "short")]


def test_empty_values_beyond_the_last_column_are_forgiven(lab: Lab) -> None:
    lab.write_lines(LINES[0] + ",,", LINES[1])
    (entry,) = lab.land()
    assert lab.rows() == split(*LINES[:2])
    assert entry.rows_rejected == 0


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end(lab: Lab, end: str) -> None:
    lab.write_lines(*LINES, end=end)
    lab.land()
    assert lab.rows() == split(*LINES)


def test_mixed_line_ends(lab: Lab) -> None:
    lab.write("shop/order_lines.csv", f"{HEADER}\r\n{LINES[0]}\n{LINES[1]}\r\n\r\n\n{LINES[2]}\r")
    (entry,) = lab.land()
    assert lab.rows() == split(*LINES)
    assert lab.rows("row_number") == [(1,), (2,), (3,)]
    assert entry.rows_rejected == 0


def test_blank_lines_before_the_header(lab: Lab) -> None:
    lab.write("shop/order_lines.csv", f"\n\r\n{HEADER}\n{LINES[0]}\n")
    lab.land()
    assert lab.rows() == split(LINES[0])


def test_a_file_that_is_mostly_broken_stops_the_build(lab: Lab) -> None:
    lab.write_lines(LINES[0], *["1;2;3"] * 20)
    said = lab.problem()
    assert "20 of 21 lines" in said and "row 2" in said and "1;2;3" in said


def test_reading_line_by_line_agrees_with_the_fast_reader(lab: Lab) -> None:
    rng = random.Random(7)
    pieces = ["a", "é", '"', ",", "\n", "\r\n", " ", "x y", "'", "", "ab", "\t", "#", "\\"]
    for _ in range(12):
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n", quoting=rng.choice([csv.QUOTE_MINIMAL, 1]))
        for _ in range(20):
            writer.writerow(["".join(rng.choices(pieces, k=rng.randint(1, 4))) for _ in COLUMNS])
        body = out.getvalue()
        # quotes in the middle of unquoted values are common and harmless
        body += 'O1,d,5" pipe,1,2, "spaced"\n'
        lab.write("shop/order_lines.csv", f"{HEADER}\n{body}")
        lab.land()
        fast = lab.rows("* exclude (file)")
        assert not lab.rejected()
        lab.write("shop/order_lines.csv", f"{HEADER}\n{body}cut,short\n")
        lab.land()
        assert lab.rows("* exclude (file)") == fast
        assert lab.rejected() == [(22, "too_few_values", "cut,short")]


# --- Parquet and gzip ----------------------------------------------------------------------------


def test_typed_parquet_becomes_text_that_casts_back(lab: Lab) -> None:
    lab.conn.execute("set TimeZone = 'America/New_York'")
    doubles = [0.1, 1e-7, 123456789.12345679, 1e15, 1e17, 1.5e20, -0.25, 13085.0, 3.0e-310]
    values = ", ".join(f"('{value!r}'::double)" for value in doubles)
    lab.write_parquet(
        "select 7::bigint order_id, timestamp '2025-01-01 10:00:00.123456' ordered_at, "
        "true product_id, 2::utinyint quantity, 9.90::decimal(9, 2) unit_price, "
        "timestamptz '2025-01-01 10:00:00+02' delivered_at, date '2025-02-03' promised_at, "
        "v tax_amount, 0.1::float shipping_amount, 'nan'::double discount_amount, '' colour, "
        "'abc'::blob size, [1, 2] brand "
        f"from (values {values}) t(v)"
    )
    lab.land()
    texts = lab.rows(
        "order_id, ordered_at, product_id, quantity, unit_price, delivered_at, promised_at, "
        "shipping_amount, discount_amount, colour, size, brand"
    )
    assert set(texts) == {
        (
            *("7", "2025-01-01 10:00:00.123456", "true", "2", "9.90", "2025-01-01 08:00:00"),
            *("2025-02-03", "0.1", None, None, "abc", "[1,2]"),
        )
    }
    landed = [value for (value,) in lab.rows("tax_amount")]
    assert [float(value) for value in landed] == doubles
    assert landed[2:5] == ["123456789.12345679", "1000000000000000", "100000000000000000"]
    assert landed[7] == "13085"
    assert lab.query("select try_cast('1e-07' as decimal(18, 8)) > 0") == [(True,)]


def test_csv_gzip_and_parquet_land_the_same(lab: Lab) -> None:
    lab.write_lines(*LINES)
    lab.land()
    expected = lab.rows("* exclude (file)")
    plain = lab.raw / "shop/order_lines.csv"
    lab.write("shop/order_lines.csv.gz", gzip.compress(plain.read_bytes()))
    columns = "columns = {" + ", ".join(f"'{name}': 'varchar'" for name in COLUMNS) + "}"
    copied = lab.write_parquet(f"from read_csv('{plain}', {columns})", "other/order_lines.parquet")
    plain.unlink()
    assert [entry.format for entry in lab.land()] == ["csv.gz"]
    assert lab.rows("* exclude (file)") == expected
    (lab.raw / "shop/order_lines.csv.gz").unlink()
    copied.rename(lab.raw / "shop/order_lines.parquet")
    assert [entry.format for entry in lab.land()] == ["parquet"]
    assert lab.rows("* exclude (file)") == expected


@pytest.mark.parametrize("name", ["order_lines.csv.gz", "order_lines.parquet"])
def test_a_cut_off_file_says_so(lab: Lab, name: str) -> None:
    lines = "".join(f"O{i},d,P{i * i},1,2,red\n" for i in range(2000))
    plain = lab.write("shop/plain.csv", f"{HEADER}\n{lines}")
    if name.endswith("gz"):
        path = lab.write(f"shop/{name}", gzip.compress(plain.read_bytes()))
    else:
        path = lab.write_parquet(f"from read_csv('{plain}')", f"shop/{name}")
    plain.unlink()
    path.write_bytes(path.read_bytes()[:-200])
    said = lab.problem()
    assert f"shop/{name}" in said and "damaged, cut off" in said


def test_damage_inside_a_parquet_file(lab: Lab) -> None:
    query = f"select {', '.join(f'md5(i::text) {name}' for name in COLUMNS)} from range(5000) t(i)"
    path = lab.write_parquet(query)
    content = bytearray(path.read_bytes())
    content[2000:2400] = bytes(400)
    path.write_bytes(content)
    assert "shop/order_lines.parquet" in lab.problem()


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"PAR1\x15\x04", "Parquet"), (gzip.compress(b"a"), "gzip"), (b"PK\x03\x04\0\0", "Excel")],
)
def test_a_file_with_the_wrong_name(lab: Lab, content: bytes, kind: str) -> None:
    lab.write("shop/order_lines.csv", content)
    said = lab.problem()
    assert kind in said and "rename" in said


def test_a_repeated_column_of_a_parquet_file(lab: Lab) -> None:
    # DuckDB writes such a file as `quantity` and `Quantity`; both are the same column here
    lab.write_parquet(
        "select 1 order_id, 2 ordered_at, 3 product_id, 4 quantity, 5 unit_price, 6 QTY"
    )
    lab.land()
    assert json.loads(lab.rows("extra_columns")[0][0]) == {"QTY": "6"}


def test_nested_parquet_columns_do_not_shift_the_others(lab: Lab) -> None:
    lab.write_parquet(
        "select {'a': 1, 'b': {'c': [2]}} meta, 'O' order_id, map {'k': 'v'} tags, 'D' ordered_at, "
        "'P' product_id, '1' quantity, '2' unit_price"
    )
    lab.land()
    assert lab.rows("order_id, ordered_at, product_id, quantity, unit_price") == [
        ("O", "D", "P", "1", "2")
    ]
    assert "'b':" not in lab.rows("extra_columns")[0][0]


# --- row numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_row_numbers_follow_the_file_on_two_threads(lab: Lab, format: str) -> None:
    lab.conn.execute("set preserve_insertion_order = false")
    query = (
        "select i order_id, 'd' ordered_at, 'a product with a long name' || i product_id, "
        "1 quantity, 2 unit_price from range(300000) t(i)"
    )
    (lab.raw / "shop").mkdir()
    path = lab.raw / f"shop/order_lines.{format}"
    duckdb.sql(f"copy ({query}) to '{path}'")
    lab.land()
    found = lab.query(
        "select count(*), count(*) filter (cast(order_id as bigint) + 1 <> row_number) "
        "from raw.canonical__order_lines"
    )
    assert found == [(300000, 0)]
    assert lab.query("select current_setting('preserve_insertion_order')") == [(False,)]


# --- several files -------------------------------------------------------------------------------


def test_all_file_names_of_a_table(lab: Lab) -> None:
    names = [
        "order_lines.csv",
        "order_lines_2024.csv",
        "order_lines-01.csv.gz",
        "ORDER_LINES_x.CSV",
        "order_lines/a b.csv",
        "order_lines/deep/c.csv",
        "order_lines.parquet/part-0.csv",
    ]
    for number, name in enumerate(names):
        content = f"{HEADER}\nO{number},d,p,1,2,red\n".encode()
        lab.write(f"shop/{name}", gzip.compress(content) if name.endswith("gz") else content)
    landed = lab.land()
    assert {entry.table_name for entry in landed} == {"canonical__order_lines"}
    assert len(lab.rows()) == len(names)


def test_the_same_content_twice_is_read_once(lab: Lab) -> None:
    lab.write_lines(*LINES, name="shop/order_lines_b.csv")
    lab.write_lines(*LINES, name="shop/order_lines_a.csv")
    lab.write_lines(*LINES, name="other/order_lines.csv")
    entries = {entry.file: entry for entry in lab.land("shop", "other")}
    copy = entries["shop/order_lines_b.csv"]
    assert (copy.status, copy.rows_read, copy.rows_landed) == ("duplicate", 0, 0)
    assert "shop/order_lines_a.csv" in copy.message
    assert entries["other/order_lines.csv"].status == "loaded"
    assert len(lab.rows()) == 6
    # the copy takes over when the first one goes
    (lab.raw / "shop/order_lines_a.csv").unlink()
    (entry,) = lab.land("shop", "other")
    assert (entry.file, entry.status) == ("shop/order_lines_b.csv", "loaded")
    assert len(lab.rows()) == 6


def test_one_table_in_two_formats_stops_the_build(lab: Lab) -> None:
    lab.write_lines(*LINES)
    lab.write("shop/order_lines.csv.gz", gzip.compress(b"x"))
    assert "shop/order_lines.csv and shop/order_lines.csv.gz" in lab.problem()


def test_a_file_that_no_table_takes_is_recorded(lab: Lab) -> None:
    lab.write_lines(*LINES)
    lab.write("shop/retuns.csv", "quantity\n1\n")
    lab.write("shop/notes.txt", "hello")
    entries = {entry.file: entry for entry in lab.land()}
    typo = entries["shop/retuns.csv"]
    assert (typo.status, typo.table_name, typo.rows_read) == ("ignored", None, 0)
    assert "Did you mean 'returns'" in typo.message
    assert any("retuns.csv" in line for line in lab.said)
    assert "not a .csv" in entries["shop/notes.txt"].message
    assert lab.land() == []


def test_hidden_files_are_not_even_mentioned(lab: Lab) -> None:
    lab.write_lines(*LINES)
    for name in (".order_lines.csv", "_truth.csv", ".git/x.csv", "_old/order_lines.csv", "._x"):
        lab.write(f"shop/{name}", "nonsense")
    assert len(lab.land()) == 1


def test_paths_with_blanks_quotes_globs_and_links(lab: Lab, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where [x]"
    elsewhere.mkdir()
    for number, name in enumerate(("a'b.csv", "ü *.csv", "[1]?.csv", "1.csv")):
        content = f"{HEADER}\nO{number},d,p,1,2,red\n"
        (elsewhere / name).write_text(content, encoding="utf-8")
    (lab.raw / "mein laden").mkdir()
    (lab.raw / "mein laden" / "order_lines").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(elsewhere)
    lab.land("mein laden")
    assert sorted(lab.rows("order_id")) == [("O0",), ("O1",), ("O2",), ("O3",)]
    assert {source for (source,) in lab.rows("source")} == {"mein laden"}


def test_splitting_files_and_shuffling_columns_lands_the_same_rows(lab: Lab) -> None:
    rng = random.Random(11)
    rows = [
        {
            name: rng.choice(["", "a", 'q"q', "x,y", "l\nm", "ü", " s "]) + str(i % 7)
            for name in COLUMNS
        }
        for i in range(60)
    ]

    def write(name: str, part: list[dict], columns: list[str]) -> None:
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, columns, lineterminator=rng.choice(["\n", "\r\n"]))
        writer.writeheader()
        writer.writerows(part)
        lab.write(f"shop/{name}", out.getvalue())

    write("order_lines.csv", rows, COLUMNS)
    lab.land()
    expected = Counter(lab.rows("* exclude (file, row_number)"))
    for _ in range(8):
        cut = rng.randint(1, len(rows) - 1)
        for name, part in (("order_lines.csv", rows[:cut]), ("order_lines_2.csv", rows[cut:])):
            write(name, part, rng.sample(COLUMNS, len(COLUMNS)))
        lab.land()
        assert Counter(lab.rows("* exclude (file, row_number)")) == expected


# --- missing things ------------------------------------------------------------------------------


def test_an_unknown_source_names_the_nearest(lab: Lab) -> None:
    lab.write("online_retail/a.csv", "x\n")
    said = lab.problem("onlin_retail")
    assert "unknown source 'onlin_retail'" in said and str(lab.raw) in said
    assert "Did you mean 'online_retail'" in said


@pytest.mark.parametrize("source", ["", "../shop", "a/b", ".hidden", "/etc", "..", "_x"])
def test_a_source_is_one_folder_below_raw(lab: Lab, source: str) -> None:
    lab.write_lines(*LINES)
    assert "cannot be a source" in lab.problem(source)


def test_a_missing_required_file_names_path_and_typo(lab: Lab) -> None:
    lab.write("shop/order_line.csv", f"{HEADER}\n{LINES[0]}\n")
    said = lab.problem()
    assert str(lab.raw / "shop" / "order_lines.csv") in said
    assert "Did you mean 'shop/order_line.csv' -> 'order_lines'" in said


def test_an_empty_folder_of_a_source_that_takes_any_file(lab: Lab) -> None:
    (lab.raw / "online_retail").mkdir()
    said = lab.problem("online_retail")
    assert "no .csv, .csv.gz or .parquet" in said and str(lab.raw / "online_retail") in said


def test_a_link_to_nowhere(lab: Lab) -> None:
    lab.write_lines(*LINES)
    (lab.raw / "shop/returns.csv").symlink_to(lab.raw / "gone.csv")
    said = lab.problem()
    assert "shop/returns.csv" in said and "No such file" in said


def test_all_problems_of_all_files_are_said_at_once_and_nothing_changes(lab: Lab) -> None:
    lab.write_lines(*LINES)
    lab.land()
    before = lab.rows("*"), lab.query("from raw.load_files"), lab.query("from raw.landing_state")
    lab.write_lines(*LINES[:1])
    lab.write("shop/returns.csv", "")
    lab.write("shop/customers.csv", "customer_id,customer_id\n1,2\n")
    lab.write("shop/reviews.csv", "ratng,reviewed_on\n1,2\n")
    lab.write("shop/products.parquet", "PAR1 not really PAR1")
    said = lab.problem("shop", "shpo")
    assert "before anything was changed" in said
    for words in ("returns.csv", "customers.csv", "'ratng' -> 'rating'", "'reviewed_at'", "shpo"):
        assert words in said
    assert "products.parquet" in said
    after = lab.rows("*"), lab.query("from raw.load_files"), lab.query("from raw.landing_state")
    assert after == before
    assert not lab.query("from duckdb_tables() where ends_with(table_name, '__landing')")


# --- what is new ---------------------------------------------------------------------------------


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.write_lines(*LINES)
    lab.write_lines(*LINES, name="shop/order_lines_copy.csv")
    lab.write("shop/other.csv", "")
    warehouse = tmp_path / "raw.duckdb"
    contents = []
    for expected in (3, 0):
        with duckdb.connect(str(warehouse)) as lab.conn:
            assert len(lab.land()) == expected
        contents.append(warehouse.read_bytes())
    assert contents[0] == contents[1]


def test_changed_new_and_removed_files(lab: Lab) -> None:
    lab.write_lines(LINES[0], name="shop/order_lines_1.csv")
    lab.write_lines(LINES[1], "short", name="shop/order_lines_2.csv")
    lab.land()
    assert len(lab.rejected()) == 1
    lab.write_lines(LINES[2], name="shop/order_lines_2.csv")
    lab.write_lines(LINES[0], LINES[1], name="shop/order_lines_3.csv")
    (lab.raw / "shop/order_lines_1.csv").unlink()
    assert {entry.file for entry in lab.land()} == {
        "shop/order_lines_2.csv",
        "shop/order_lines_3.csv",
    }
    assert lab.rows() == split(LINES[2], LINES[0], LINES[1])
    assert lab.rejected() == []
    assert len(lab.query("from raw.load_files")) == 2


def test_an_untouched_file_with_new_times_is_not_read_again(lab: Lab) -> None:
    path = lab.write_lines(*LINES)
    lab.land()
    os.utime(path, (1, 1))
    assert lab.land() == []
    assert lab.land() == []


def test_only_the_chosen_sources_stay(lab: Lab) -> None:
    lab.write_lines(*LINES)
    lab.write_lines(*LINES, name="other/order_lines.csv")
    lab.land("shop", "other")
    assert len(lab.rows()) == 6
    assert lab.land("other") == []
    assert {source for (source,) in lab.rows("source")} == {"other"}
    assert {source for (source,) in lab.query("select source from raw.load_files")} == {"other"}


def test_a_change_of_the_config_lands_again(lab: Lab, tmp_path: Path) -> None:
    lab.write("shop/order_lines.csv", f"{HEADER},mood\n{LINES[0]},good\n")
    lab.write("shop/returns.csv", "quantity\n1\n")
    lab.land()
    lab.project = project_with(tmp_path, "- name: marketplace", "- name: mood")
    assert [entry.file for entry in lab.land()] == ["shop/order_lines.csv"]
    assert lab.rows("mood, extra_columns") == [("good", None)]


def test_a_description_is_no_reason_to_land_again(lab: Lab, tmp_path: Path) -> None:
    lab.write_lines(*LINES)
    lab.land()
    lab.project = project_with(tmp_path, "One row per record", "One row per line")
    assert lab.land() == []


def test_a_table_that_is_no_longer_declared_is_dropped(lab: Lab, tmp_path: Path) -> None:
    lab.write_lines(*LINES)
    lab.land()
    lab.project = project_with(tmp_path, "canonical__sellers", "canonical__vendors")
    lab.land()
    tables = {name for (name,) in lab.query("select table_name from duckdb_tables()")}
    assert "canonical__vendors" in tables and "canonical__sellers" not in tables


def test_a_landing_that_was_killed_leaves_nothing_behind(lab: Lab) -> None:
    lab.write_lines(*LINES)
    lab.conn.execute("create schema raw")
    lab.conn.execute("create table raw.canonical__order_lines__landing as select 1 as x")
    lab.land()
    assert lab.rows() == split(*LINES)
    assert not lab.query("from duckdb_tables() where ends_with(table_name, '__landing')")


def test_an_error_while_committing_leaves_the_raw_tables(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write_lines(*LINES)
    lab.land()
    before = lab.rows("*")
    lab.write_lines(LINES[0])
    with monkeypatch.context() as patch:
        patch.setattr("retour.landing.tables.RawTables._insert_rows", interrupt)
        with pytest.raises(KeyboardInterrupt):
            lab.land()
    assert lab.rows("*") == before
    lab.land()
    assert lab.rows() == split(LINES[0])


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


# --- the demo ------------------------------------------------------------------------------------


def generator(calls: list[dict]) -> types.ModuleType:
    """A stand-in for data.generate that writes one small file."""
    module = types.ModuleType("data.generate")

    def generate(out_dir: Path, *, source: str) -> None:
        calls.append({"out_dir": out_dir, "source": source})
        folder = Path(out_dir) / "raw" / source
        folder.mkdir(parents=True)
        (folder / "order_lines.csv").write_text(f"{HEADER}\n{LINES[0]}\n")

    module.generate = generate
    return module


def test_an_absent_demo_is_generated_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict] = []
    monkeypatch.setitem(sys.modules, "data.generate", generator(calls))
    lab.land("demo")
    lab.land("demo")
    assert calls == [{"out_dir": lab.raw.parent, "source": "demo"}]
    assert lab.rows() == split(LINES[0])


def test_the_demo_goes_only_into_a_folder_named_raw(lab: Lab, tmp_path: Path) -> None:
    lab.raw = tmp_path / "exports"
    lab.raw.mkdir()
    said = lab.problem("demo")
    assert str(lab.raw / "demo") in said and "named raw" in said


# --- what runs left ------------------------------------------------------------------------------


def test_run_results_are_an_empty_typed_table_without_runs(lab: Lab) -> None:
    lab.write_lines(*LINES)
    lab.land()
    assert (lab.ops / "run_results").is_dir()
    kinds = dict(
        lab.query(
            "select column_name, data_type from duckdb_columns() where table_name = 'run_results'"
        )
    )
    assert (kinds["execution_seconds"], kinds["failures"]) == ("DOUBLE", "BIGINT")
    assert kinds["started_at"] == kinds["adapter_type"] == "VARCHAR"


def test_run_results_of_every_run_land_and_a_damaged_file_is_left_out(lab: Lab) -> None:
    lab.write_lines(*LINES)
    folder = lab.ops / "run_results"
    folder.mkdir(parents=True)
    duckdb.sql(
        "copy (select 'a' invocation_id, 'build' command, 1.5::double execution_seconds, "
        f"2::bigint failures) to '{folder}/a.parquet'"
    )
    duckdb.sql(
        "copy (select 3::int failures, 'b' invocation_id, timestamp '2025-01-01' started_at) "
        f"to '{folder}/b.parquet'"
    )
    (folder / "c.parquet").write_bytes(b"PAR1 damaged")
    lab.land()
    query = "select invocation_id, command, failures, started_at from raw.run_results order by 1"
    expected = [("a", "build", 2, None), ("b", None, 3, "2025-01-01 00:00:00")]
    assert lab.query(query) == expected
    assert any("c.parquet" in line for line in lab.said)
    (folder / "a.parquet").unlink()
    assert lab.land() == []
    assert lab.query(query) == expected[1:]


# --- vars ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sorces": ["demo"]}, ["unknown var 'sorces'", "Did you mean 'sources'"]),
        ({"as_of": "2025-01-01"}, ["Did you mean 'as_of_date'"]),
        ({"sources": "demo"}, ["'sources'", "a list"]),
        ({"sources": []}, ["'sources'", "empty"]),
        ({"raw": 3}, ["'raw'", "folder"]),
        ({"warehouse": ""}, ["'warehouse'"]),
        ({"as_of_date": "1.2.2025"}, ["'as_of_date'", "2025-06-30"]),
        ({"return_window_days": "sixty"}, ["'return_window_days'", "whole number"]),
        ({"return_window_days": 0}, ["1 or more"]),
        ({"random_seed": True}, ["'random_seed'"]),
        ({"sorces": 1, "random_seed": 1.5}, ["'sorces'", "'random_seed'"]),
    ],
)
def test_a_wrong_var_is_named(given: dict, words: list[str]) -> None:
    with pytest.raises(LandingError) as caught:
        check_vars(given)
    for word in words:
        assert word in str(caught.value)


def test_good_vars_pass() -> None:
    check_vars(
        {
            "sources": ["demo"],
            "raw": "x",
            "warehouse": "y.duckdb",
            "as_of_date": dt.date(2025, 1, 1),
            "return_window_days": 30,
            "random_seed": 0,
        }
    )
    check_vars({"as_of_date": "2025-01-01"})
    check_vars({"as_of_date": None})


def test_what_the_command_line_leaves_open_comes_from_the_project(tmp_path: Path) -> None:
    assert resolve("", "[]", tmp_path) == (tmp_path / "data/raw", ["demo"])
    (tmp_path / "dbt_project.yml").write_text(
        "name: shop\nvars: {raw: inbox, shop: {sources: [a, b]}}\n"
    )
    assert resolve(None, [], tmp_path) == (tmp_path / "inbox", ["a", "b"])
    assert resolve("else", '["c", "c"]', tmp_path) == (tmp_path / "else", ["c"])
    assert resolve("/else", ["d"], tmp_path) == (Path("/else"), ["d"])
    for wrong in ('"online_retail"', "online_retail", [1]):
        with pytest.raises(LandingError, match="a list of source names"):
            resolve("", wrong, tmp_path)


def test_dbt_shows_a_landing_error_without_a_traceback() -> None:
    # dbt-duckdb turns a RuntimeError into one sentence; the command line does so with RetourError
    assert issubclass(LandingError, RuntimeError) and issubclass(LandingError, RetourError)


# --- landing config ------------------------------------------------------------------------------


def project_with(folder: Path, old: str, new: str) -> Path:
    """A copy of the landing config with one text replaced in every file."""
    staging = Path("dbt_project/models/staging")
    target = folder / "project"
    for file in (ROOT / staging).glob("*/*__sources.yml"):
        copy = target / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return target


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("files: order_lines", "flies: order_lines", ["'flies'", "Did you mean 'files'"]),
        ("encodings: [utf-8]", "encodings: [utf-eight]", ["no encoding 'utf-eight'"]),
        ("encodings: [utf-8]", "delimiter: '||'", ["'||'", "one character"]),
        ("[StockCode]", "[StockCode, Invoice]", ["invoice and stock_code share a header"]),
        ("sources:\n", "sources: [\n", ["cannot be read"]),
    ],
)
def test_a_wrong_config_names_its_file(
    lab: Lab, tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    lab.project = project_with(tmp_path, old, new)
    said = lab.problem()
    for word in [*words, "__sources.yml"]:
        assert word in said


def test_a_declared_delimiter(lab: Lab, tmp_path: Path) -> None:
    lab.project = project_with(tmp_path, "encodings: [utf-8]", "delimiter: ';'")
    lab.write("shop/order_lines.csv", f"{HEADER}\nO1,d,p,1,2,red\n".replace(",", ";") + "1;2\n")
    lab.land()
    assert lab.rows() == split("O1,d,p,1,2,red")
    assert lab.rejected() == [(2, "too_few_values", "1;2")]


# --- the real file -------------------------------------------------------------------------------


def test_the_real_file_lands_whole(lab: Lab) -> None:
    if not ONLINE_RETAIL_FILE.exists():
        pytest.skip("the Online Retail II file is not beside this repository (../shared/data)")
    (lab.raw / "online_retail").mkdir()
    shutil.copy(ONLINE_RETAIL_FILE, lab.raw / "online_retail")
    (entry,) = lab.land("online_retail")
    assert (entry.rows_landed, entry.rows_rejected, entry.message) == (525_461, 0, None)
    sql = (
        "select invoice, stock_code, description, quantity, invoice_date, price, customer_id, "
        "country from raw.online_retail__lines except all "
        'select "Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", '
        f'"Customer ID", "Country" from \'{ONLINE_RETAIL_FILE}\''
    )
    # as many rows on both sides, so one direction is enough
    assert lab.query(f"select count(*) from ({sql})") == [(0,)]
