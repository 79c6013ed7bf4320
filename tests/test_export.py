"""Exports to files: what arrives, what hostile text does, and what a failure leaves behind."""

import csv
import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import openpyxl
import pytest

from retour import export as module
from retour.errors import RetourError
from retour.export import excel, export, files, folder, scrubbed, secrets_of, without_password
from retour.landing.tables import LOG_TABLES
from retour.publish import publish
from tests import support
from tests.support import ROOT, Build, environment

FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1",
]
TEXTS = [
    *FORMULAS,
    "'; drop table marts.order_lines; --",
    "</script><script>alert(1)</script>",
    "../../x",
    "\u202eright to left \u0634",
    "😀 é",
    "x" * 10_000,
    "a\0b",
    "",
    "NULL",
    "\\N",
    'a "quoted" word',
    "a,b;c\r\nd",
    "{{ 7 * 7 }} %s \\",
    " blanks ",
]
ODD_TABLE = """it's "quoted"; drop table x; -- ../../x"""
ODD_COLUMN = """we"ird 'column' `x`"""


def make_warehouse(path: Path) -> Path:
    """A warehouse whose marts hold what tools stumble over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            """
            create schema marts; create schema reports;
            create table marts.coverage (source varchar not null, as_of_date date);
            insert into marts.coverage values ('shop', '2026-01-31');
            create table marts.run_results (
                invocation_id varchar, command varchar, started_at timestamp
            );
            insert into marts.run_results values ('first', 'build', '2026-01-01');
            create table marts.customers (
                source varchar, customer_id varchar, primary key (source, customer_id)
            );
            insert into marts.customers values ('shop', 'a'), ('shop', 'A');
            create table marts.texts (
                source varchar, number bigint, content varchar, amount decimal(18, 4),
                large decimal(38, 4), share double, is_odd boolean, day date, moment timestamp,
                customer_id varchar, primary key (source, number)
            );
            comment on table marts.texts is 'One row per it''s \\ "text".';
            comment on column marts.texts.content is 'Its; content -- \\';
            """
        )
        rows = [
            (
                *("shop", number - 5, content, Decimal(f"-0.000{number % 10}")),
                *(Decimal("1234567890123456789012345678901234.5678"), 0.1 + number),
                *(bool(number % 2), date(2024, 2, 29), datetime(2026, 1, 1, 23, 59, 59, 123456)),
                "a",
            )
            for number, content in enumerate(TEXTS)
        ]
        rows.append(("shop", 2**62, *[None] * 8))
        connection.executemany(f"insert into marts.texts values ({', '.join('?' * 10)})", rows)
        odd_table, odd_column = (
            '"' + name.replace('"', '""') + '"' for name in (ODD_TABLE, ODD_COLUMN)
        )
        connection.execute(f"create table marts.{odd_table} as select 7::bigint as {odd_column}")
        connection.execute("create table reports.rpt_empty (source varchar, sales decimal(9, 2))")
    return path


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(make_warehouse(tmp_path_factory.mktemp("odd") / "warehouse.duckdb")).path


@pytest.fixture
def to(published: Path, tmp_path: Path) -> Callable[..., Path]:
    """Exports to a format and returns the folder."""

    def run(format_: str, target: Path | None = None, **options: object) -> Path:
        target = target or tmp_path / "out"
        export(to=format_, published=published, ops=tmp_path / "ops", target=str(target), **options)
        return target

    return run


def manifest(target: Path) -> dict:
    return json.loads((target / "manifest.json").read_text())


def file_of(target: Path, table: str) -> Path:
    (entry,) = (entry for entry in manifest(target)["tables"] if entry["table"] == table)
    return target / entry["file"]


def outcomes(tmp_path: Path, columns: str = "*") -> list[tuple]:
    pattern = str(tmp_path / "ops" / "exports" / "*.parquet")
    return duckdb.connect().execute(f"select {columns} from read_parquet('{pattern}')").fetchall()


def tree(target: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in target.rglob("*") if path.is_file()}


# what arrives


def test_parquet_holds_every_table_with_its_types_and_values(
    to: Callable, published: Path, tmp_path: Path
) -> None:
    target = to("parquet")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{published}' as published (read_only)")
        entries = manifest(target)["tables"]
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where schema_name <> 'scoring'"
        ).fetchall()
        assert [(entry["schema"], entry["table"]) for entry in entries] == sorted(tables)
        for entry in entries:
            name = entry["table"].replace('"', '""')
            live = f'from published.{entry["schema"]}."{name}"'
            copy = f"from read_parquet('{target}/{entry['file']}')"
            for one, other in ((live, copy), (copy, live)):
                assert connection.execute(f"{one} except all {other}").fetchall() == []
            described = [
                connection.execute(f"describe {relation}").fetchall() for relation in (live, copy)
            ]
            types = [[row[:2] for row in rows] for rows in described]
            assert types[0] == types[1]
            assert types[0] == [(c["name"], c["type"]) for c in entry["columns"]]
    assert set(outcomes(tmp_path, "status, format, build_id, target")) == {
        ("exported", "parquet", "first", str(target))
    }


def test_the_manifest_says_what_the_folder_is(to: Callable) -> None:
    target = to("csv")
    found = manifest(target)
    assert found["build_id"] == "first"
    assert found["as_of_dates"] == {"shop": "2026-01-31"}
    for name, about in found["files"].items():
        data = (target / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == about["sha256"]
        assert len(data) == about["bytes"]
    (texts,) = (entry for entry in found["tables"] if entry["table"] == "texts")
    assert texts["rows"] == len(TEXTS) + 1
    assert texts["key"] == ["source", "number"]
    assert texts["description"] == 'One row per it\'s \\ "text".'
    expected = sum(number - 5 for number in range(len(TEXTS))) + 2**62
    assert texts["sums"]["number"] == str(expected)
    on_disk = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert on_disk == {*found["files"], "manifest.json"}


def test_equal_marts_give_equal_files_and_checksums(to: Callable, tmp_path: Path) -> None:
    first, second = to("parquet", tmp_path / "one"), to("parquet", tmp_path / "two")
    assert manifest(first)["files"] == manifest(second)["files"]
    to("csv", tmp_path / "three")
    query = "table_name, count(*), count(distinct checksum)"
    pattern = tmp_path / "ops" / "exports" / "*.parquet"
    rows = duckdb.sql(f"select {query} from read_parquet('{pattern}') group by 1").fetchall()
    assert {row[1:] for row in rows} == {(3, 1)}


def test_only_what_was_asked_for_and_the_publication(to: Callable) -> None:
    target = to("parquet", tables=["texts", "reports.rpt_empty"])
    names = [entry["table"] for entry in manifest(target)["tables"]]
    assert names == ["publication", "texts", "rpt_empty"]


def test_an_unknown_table_is_answered_with_the_nearest(to: Callable) -> None:
    with pytest.raises(RetourError, match=r"no table 'text'. Did you mean 'texts'\?"):
        to("parquet", tables=["text"])


# hostile text


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_makes_formulas_harmless_and_leaves_everything_else(to: Callable) -> None:
    target = to("csv")
    rows = csv_rows(file_of(target, "texts"))
    for row, text in zip(rows, TEXTS, strict=False):
        clean = text.replace("\0", "\ufffd")
        assert row["content"] == ("'" + clean if text in FORMULAS else clean)
    assert rows[0]["number"] == "-5"
    assert rows[1]["amount"] == "-0.0001"
    assert rows[-1]["content"] == "" and rows[-1]["day"] == ""
    assert "preceded by '" in manifest(target)["formulas"]


def test_csv_for_machines_is_as_it_is(to: Callable) -> None:
    target = to("csv", escape=False)
    rows = csv_rows(file_of(target, "texts"))
    found = [row["content"] for row in rows[:-1]]
    assert found == [text.replace("\0", "\ufffd") for text in TEXTS]
    assert manifest(target)["formulas"] == "as they are"


def test_an_empty_text_is_no_null_in_csv(to: Callable) -> None:
    text = file_of(to("csv"), "texts").read_text(encoding="utf-8")
    (empty,) = (number for number, content in enumerate(TEXTS) if content == "")
    assert f'"shop",{empty - 5},"",' in text
    assert text.endswith(f'"shop",{2**62},,,,,,,,\n')


def test_excel_holds_texts_as_texts_and_numbers_as_numbers(to: Callable) -> None:
    target = to("xlsx")
    book = openpyxl.load_workbook(file_of(target, "texts"))
    assert book.sheetnames == ["texts", "what is what"]
    header, *rows = book["texts"].iter_rows()
    places = {cell.value: position for position, cell in enumerate(header)}
    assert len(rows) == len(TEXTS) + 1
    for row, text in zip(rows, TEXTS, strict=False):
        cell = row[places["content"]]
        if text == "":
            assert cell.value in (None, "")
            continue
        assert cell.data_type == "s"
        # openpyxl keeps the escapes of control characters
        assert cell.value.replace("_x000D_", "\r") == text.replace("\0", "\ufffd")
        assert cell.quotePrefix == (text in FORMULAS)
        assert row[places["amount"]].data_type == "n"
        assert row[places["is_odd"]].data_type == "b"
        assert row[places["day"]].value == datetime(2024, 2, 29)
        # of 38 digits Excel would keep 15
        assert row[places["large"]].value == "1234567890123456789012345678901234.5678"
    assert rows[-1][places["number"]].value == str(2**62)
    assert [cell.value for cell in rows[-1][2:]] == [None] * 8
    described = {row[0].value: row[2].value for row in book["what is what"].iter_rows()}
    assert described["content"] == "Its; content -- \\"


def test_excel_goes_on_in_another_sheet_and_cuts_what_no_cell_holds(
    to: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel, "ROWS", 10)
    monkeypatch.setattr(excel, "BATCH", 4)
    monkeypatch.setattr(excel, "CHARACTERS", 100)
    said: list[str] = []
    target = to("xlsx", tables=["texts"], say=said.append)
    book = openpyxl.load_workbook(file_of(target, "texts"))
    assert book.sheetnames == ["texts", "texts (2)", "texts (3)", "what is what"]
    assert sum(sheet.max_row - 1 for sheet in book.worksheets[:-1]) == len(TEXTS) + 1
    assert any("1 texts were cut" in line for line in said)
    texts = [row[2].value for sheet in book.worksheets[:-1] for row in sheet.iter_rows(min_row=2)]
    assert "x" * 96 + " […]" in texts


def test_equal_marts_give_equal_workbooks(to: Callable, tmp_path: Path) -> None:
    first, second = to("xlsx", tmp_path / "one"), to("xlsx", tmp_path / "two")
    assert manifest(first)["files"] == manifest(second)["files"]


@pytest.mark.parametrize(
    "name",
    [
        "it's; drop table x; --",
        "=cmd|' /C calc'!A0",
        "a*b?[c]{d}",
        "\u202eab",
        "😀 é",
        "%s {{ 7 * 7 }}",
        "deep/er",
        "x/../y",
    ],
)
def test_a_folder_may_have_any_name(to: Callable, tmp_path: Path, name: str) -> None:
    target = tmp_path / "place" / name
    (tmp_path / "place").mkdir()
    for _ in range(2):
        to("csv", target)
    assert len(manifest(Path(os.path.realpath(target)))["tables"]) == 8
    assert len(list((tmp_path / "place").iterdir())) == 1


def test_a_name_of_ten_thousand_characters_is_an_error_and_leaves_nothing(
    to: Callable, tmp_path: Path
) -> None:
    with pytest.raises(RetourError, match="name too long"):
        to("csv", tmp_path / "place" / ("x" * 10_000))
    assert list(tmp_path.rglob("*.csv")) == []


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "..", ".", "~", "a\0b", "x" * 10_000, "CON", "é\u202e😀"]
)
def test_a_table_name_is_no_path(name: str) -> None:
    found = folder.file_name(name)
    assert len(found.encode()) < 200
    assert not set(found) & set("/\\.~\0")
    assert found.isascii()


def test_names_that_differ_only_at_the_end_are_files_of_their_own() -> None:
    assert folder.file_name("x" * 500 + "a") != folder.file_name("x" * 500 + "b")


# all or nothing


@pytest.mark.parametrize("format_", ["parquet", "csv", "xlsx"])
def test_what_fails_in_the_middle_leaves_the_folder_as_it_was(
    to: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    target = to("parquet")
    before = tree(target)
    original = folder.Folder.add

    def fail(self: folder.Folder, table: object, *arguments: object, **options: object) -> None:
        original(self, table, *arguments, **options)
        if len(self.tables) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.Folder, "add", fail)
    with pytest.raises(RetourError, match=r"as it was.*No space left on device"):
        to(format_)
    assert tree(target) == before
    assert sorted(os.listdir(tmp_path)) == ["ops", "out"]
    failed = f"from read_parquet('{tmp_path}/ops/exports/*.parquet') where status = 'failed'"
    rows = duckdb.sql(
        f"select format, count(*), count(table_rows), bool_and(message like '%No space%') {failed}"
        " group by format"
    ).fetchall()
    assert rows == [(format_, 8, 0, True)]


def test_what_does_not_arrive_as_it_is_is_not_shown(
    to: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = to("csv")
    before = tree(target)
    original = files.value

    def lossy(column: object, escape: bool) -> str:
        text = original(column, escape)
        return "round(amount, 1) as amount" if column.name == "amount" else text

    monkeypatch.setattr(files, "value", lossy)
    with pytest.raises(RetourError, match=r"marts\.texts did not arrive as it is: amount adds"):
        to("csv")
    assert tree(target) == before


def test_a_folder_with_anything_else_is_refused(to: Callable, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "thesis.txt").write_text("mine")
    with pytest.raises(RetourError, match="something else than an export"):
        to("csv")
    (target / "thesis.txt").unlink()
    to("csv")
    (target / "marts" / "thesis.txt").write_text("mine")
    with pytest.raises(RetourError, match=r"no export has put there \(marts/thesis.txt\)"):
        to("csv")
    assert (target / "marts" / "thesis.txt").read_text() == "mine"
    with pytest.raises(RetourError, match="is a file"):
        to("csv", target / "manifest.json")


def test_where_folders_cannot_be_exchanged_they_are_renamed(
    to: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "exchanged", lambda *_: False)
    for format_ in ("parquet", "csv"):
        assert manifest(to(format_))["format"] == format_
    assert sorted(os.listdir(tmp_path)) == ["ops", "out"]


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        ("folder", "check_target", 1),
        ("folder.Folder", "add", 4),
        ("folder.Folder", "finish", 1),
        ("folder", "swap", 1),
        ("folder.shutil", "rmtree", 3),
        ("module", "remember", 1),
    ],
)
def test_an_export_killed_at_any_moment_leaves_a_whole_folder_and_the_next_completes(
    to: Callable, published: Path, tmp_path: Path, owner: str, name: str, call: int
) -> None:
    target = to("parquet")
    script = f"""
    import os, signal, sys
    from pathlib import Path
    from retour import export as module
    from retour.export import folder
    original, calls = getattr({owner}, {name!r}), []
    def wrapped(*arguments, **options):
        calls.append(1)
        if len(calls) == {call}:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)
    setattr({owner}, {name!r}, wrapped)
    published, target, ops = sys.argv[1:]
    module.export(to="csv", published=Path(published), ops=Path(ops), target=target)
    """
    result = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(script)),
            *map(str, (published, target, tmp_path / "ops")),
        ],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    found = manifest(target)
    assert found["format"] == ("csv" if (owner, name) in AFTER_THE_SWAP else "parquet")
    assert len(tree(target)) == 9
    assert manifest(to("csv"))["format"] == "csv"
    assert sorted(os.listdir(tmp_path)) == ["ops", "out"]
    assert [name for name in os.listdir(tmp_path / "ops" / "exports") if name[0] == "."] == []


AFTER_THE_SWAP = {("folder.shutil", "rmtree"), ("module", "remember")}


# passwords, extras, the log


@pytest.mark.parametrize(
    ("address", "password"),
    [
        ("postgresql://ada:hunter2@db.example:5432/bi", "hunter2"),
        ("postgresql://ada:hun%20ter2@db.example/bi", "hun ter2"),
        ("postgresql://ada:h@u:n/ter2@db.example/bi", "h@u:n/ter2"),
        ("postgresql://db.example/bi?user=ada&password=hunter2", "hunter2"),
        ("host=db.example user=ada password=hunter2", "hunter2"),
        ("host=db.example user=ada password='hunter2'", "hunter2"),
        ("mysql://ada:hunter2@[bad/bi", "hunter2"),
        ("nonsense://:hunter2@", "hunter2"),
        ("postgresql://ada@db.example/bi", "of the environment"),
    ],
)
def test_no_password_is_shown(address: str, password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "of the environment")
    said = scrubbed(f"cannot connect to {address!r}, ({password})", secrets_of(address))
    for text in (said, without_password(address)):
        assert password not in text
        assert "ter2" not in text


@pytest.mark.parametrize(
    ("format_", "package", "extra"),
    [
        ("xlsx", "xlsxwriter", "excel"),
        ("hyper", "tableauhyperapi", "tableau"),
        ("postgres", "psycopg", "postgres"),
        ("mysql", "pymysql", "mysql"),
    ],
)
def test_a_missing_extra_is_named(
    to: Callable, monkeypatch: pytest.MonkeyPatch, format_: str, package: str, extra: str
) -> None:
    original = importlib.import_module

    def without(name: str, *arguments: object) -> object:
        if name == package:
            raise ImportError(name)
        return original(name, *arguments)

    monkeypatch.setattr(module.importlib, "import_module", without)
    with pytest.raises(RetourError, match=rf"needs {package}.*'retour\[{extra}\]'"):
        to(format_)


@pytest.mark.parametrize("format_", ["postgres", "mysql"])
def test_a_database_needs_an_address(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    monkeypatch.delenv(module.ENVIRONMENT, raising=False)
    with pytest.raises(RetourError, match=rf"Set {module.ENVIRONMENT}"):
        export(to=format_, published=published, ops=tmp_path)


@pytest.mark.parametrize(
    ("format_", "form"), [("postgres", "postgresql://user@host"), ("mysql", "mysql://user@host")]
)
def test_an_address_that_is_none_is_told_how_to_write_it(
    published: Path, tmp_path: Path, format_: str, form: str
) -> None:
    with pytest.raises(RetourError, match=form):
        export(to=format_, published=published, ops=tmp_path, target="foo")


def test_an_empty_target_is_refused(published: Path, tmp_path: Path) -> None:
    with pytest.raises(RetourError, match="--target is empty"):
        export(to="csv", published=published, ops=tmp_path, target="")


def test_an_export_within_an_export_is_refused(to: Callable, tmp_path: Path) -> None:
    to("csv")
    before = tree(tmp_path / "out")
    for inner in ("marts.csv", "marts/deeper/still"):
        with pytest.raises(RetourError, match=r"within the export in .*out, .*outside"):
            to("parquet", tmp_path / "out" / inner)
    assert tree(tmp_path / "out") == before


def test_a_file_that_is_not_published_is_told_what_to_run(tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    duckdb.connect(str(other)).close()
    with pytest.raises(RetourError, match=r"no published file .*`retour publish`"):
        export(to="csv", published=other, ops=tmp_path)
    other.write_text("root:x:0:0\n" * 500)
    with pytest.raises(RetourError, match="cannot be read as a DuckDB file"):
        export(to="csv", published=other, ops=tmp_path)


def test_there_must_be_a_published_file(tmp_path: Path) -> None:
    with pytest.raises(RetourError, match="run `retour build` first"):
        export(to="csv", published=tmp_path / "none.duckdb", ops=tmp_path)


def test_what_is_remembered_is_what_landing_reads(to: Callable, tmp_path: Path) -> None:
    to("csv")
    pattern = tmp_path / "ops" / "exports" / "*.parquet"
    described = duckdb.sql(f"describe from read_parquet('{pattern}')").fetchall()
    assert (
        ", ".join(f"{name} {kind.lower()}" for name, kind, *_ in described)
        == (LOG_TABLES["exports"])
    )


def test_the_command_exports_and_the_next_build_knows(shop: Build, tmp_path: Path) -> None:
    build = Build(tmp_path / "shop", sources=shop.sources)
    shutil.copytree(shop.folder, build.folder, ignore=shutil.ignore_patterns("target"))
    publish(build.warehouse)
    command = [sys.executable, "-m", "retour", "export", "--warehouse", build.warehouse]
    done = support.run([*command, "--to", "parquet", "--tables", "orders,customers"])
    assert done.returncode == 0, done.stderr
    assert f"3 tables, 24 rows: {build.folder}/exports/parquet" in done.stdout
    failed = support.run([*command, "--to", "mysql", "--target", "mysql://a:hunter2@127.0.0.1:1/x"])
    assert failed.returncode == 1
    assert "cannot be reached" in failed.stderr
    assert "Traceback" not in failed.stderr and "hunter2" not in failed.stdout + failed.stderr
    support.build(build, "--select", "exports")
    rows = support.query(
        build,
        "select format, status, count(*), sum(table_rows), min(target), min(message)"
        " from marts.exports group by format, status order by format desc",
    )
    count = len(
        support.query(build, "from duckdb_tables() where schema_name in ('marts', 'reports')")
    )
    assert rows[0][:4] == ("parquet", "exported", 3, 24)
    assert rows[1][:5] == ("mysql", "failed", count + 2, None, "mysql://a@127.0.0.1:1/x")
    assert "cannot be reached" in rows[1][5] and "hunter2" not in rows[1][5]
