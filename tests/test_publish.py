"""Publishing: what is copied, what is kept, and that a failure leaves the old file alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

from retour import publish as module
from retour.errors import RetourError
from retour.publish import publish, published_path
from tests.support import ROOT, Build, environment

WAREHOUSE = """
create schema marts; create schema reports; create schema private; create schema raw;
create table marts.coverage (source varchar not null, mart varchar, as_of_date date);
insert into marts.coverage values ('shop', 'a', '2026-01-31'), ('shop', 'b', '2026-01-31');
create table marts.run_results (invocation_id varchar, command varchar, started_at timestamp);
insert into marts.run_results values
    ('first', 'build', '2026-01-01'), ('second', 'build', '2026-01-02'), ('x', 'run', '2026-01-03');
create table marts.order_lines (
    source varchar not null, order_line_id varchar not null, net_amount decimal(18, 2) not null,
    quantity bigint check (quantity > 0), primary key (source, order_line_id)
);
insert into marts.order_lines values ('shop', '2', 1.50, 2), ('shop', '1', 2.25, 1);
comment on table marts.order_lines is 'One row per seller''s line.';
comment on column marts.order_lines.net_amount is 'After discount, without tax.';
create view marts.big_lines as select * from marts.order_lines where net_amount > 2;
comment on view marts.big_lines is 'One row per big line.';
create table marts.order_lines__dbt_backup as from marts.order_lines;
create table reports.rpt_sales as select 1 as one;
create table private.rejected_rows as select 'secret' as original_row;
create table raw.lines as select 'secret' as customer_id;
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "it's here" / "warehouse.duckdb"
    path.parent.mkdir()
    with duckdb.connect(str(path)) as connection:
        connection.execute(WAREHOUSE)
    return path


def read(path: Path, query: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_only_public_schemas_are_published(warehouse: Path) -> None:
    published = publish(warehouse)
    tables = read(published.path, "select schema_name || '.' || table_name from duckdb_tables()")
    assert sorted(name for (name,) in tables) == [
        "marts.big_lines",
        "marts.coverage",
        "marts.order_lines",
        "marts.publication",
        "marts.publication_tables",
        "marts.run_results",
        "reports.rpt_sales",
    ]
    assert published.tables == 5
    assert read(published.path, "select view_name from duckdb_views() where not internal") == []


def test_rows_come_in_the_order_of_the_primary_key(warehouse: Path) -> None:
    published = publish(warehouse)
    ids = read(published.path, "select order_line_id from marts.order_lines")
    assert ids == [("1",), ("2",)]


def test_types_constraints_and_descriptions_are_kept(warehouse: Path) -> None:
    published = publish(warehouse)
    for query in (
        "select column_name, data_type, is_nullable, comment from duckdb_columns()"
        " where table_name = 'order_lines' order by column_index",
        "select constraint_type, constraint_text, constraint_column_names"
        " from duckdb_constraints() where table_name = 'order_lines' order by all",
        "select comment from duckdb_tables() where table_name = 'order_lines'",
    ):
        assert read(published.path, query) == read(warehouse, query) != []
    comments = "select comment from duckdb_tables() where table_name = 'big_lines'"
    assert read(published.path, comments) == [("One row per big line.",)]


def test_the_publication_names_build_and_as_of_date_of_each_source(warehouse: Path) -> None:
    published = publish(warehouse)
    rows = read(
        published.path, "select source, as_of_date::varchar, build_id from marts.publication"
    )
    assert rows == [("shop", "2026-01-31", "second")]


def test_the_build_is_the_newest_even_if_run_results_do_not_know_it_yet(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(RUNS)
        connection.execute("insert into raw.runs values ('third', 'build', '2026-01-04', now())")
    published = publish(warehouse)
    assert read(published.path, "select build_id from marts.publication") == [("third",)]


def test_the_file_lists_its_tables_with_rows_and_keys(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "create table raw.mart_keys"
            " (schema_name varchar, table_name varchar, position bigint, column_name varchar)"
        )
        connection.execute(
            "insert into raw.mart_keys values ('marts', 'coverage', 2, 'mart'),"
            " ('marts', 'coverage', 1, 'source')"
        )
    published = publish(warehouse)
    rows = read(published.path, "from marts.publication_tables")
    assert rows == [
        ("marts", "big_lines", 1, None, "One row per big line."),
        ("marts", "coverage", 2, "source, mart", None),
        ("marts", "order_lines", 2, "source, order_line_id", "One row per seller's line."),
        ("marts", "run_results", 3, None, None),
        ("reports", "rpt_sales", 1, None, None),
    ]


def test_everything_that_only_the_file_has_is_described(warehouse: Path) -> None:
    published = publish(warehouse)
    comments = read(
        published.path,
        "select comment from duckdb_columns() where table_name like 'publication%'"
        " union all select comment from duckdb_tables() where table_name like 'publication%'",
    )
    assert len(comments) == 12
    assert all(comment for (comment,) in comments)


def test_nobody_writes_into_the_file_by_mistake_and_it_can_be_replaced(warehouse: Path) -> None:
    for _ in range(2):
        assert publish(warehouse).path.stat().st_mode & 0o777 == 0o444


def test_the_file_is_written_for_older_readers(warehouse: Path) -> None:
    published = publish(warehouse)
    # bytes 12 to 19 of a DuckDB file: the storage version; 65 is v1.2.0
    assert int.from_bytes(published.path.read_bytes()[12:20], "little") <= 65


def test_publishing_again_replaces_the_file_and_leaves_nothing_else(warehouse: Path) -> None:
    publish(warehouse)
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("delete from marts.order_lines where order_line_id = '1'")
    published = publish(warehouse)
    assert read(published.path, "select count(*) from marts.order_lines") == [(1,)]
    assert os.listdir(published.path.parent) == ["retour.duckdb"]


def test_a_failed_copy_leaves_the_published_file_as_it_was(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = publish(warehouse).path
    before = path.read_bytes()
    copy_relation = module.copy_relation

    def fail_at_the_third(*arguments: object) -> int:
        if arguments[2] == "order_lines":
            raise duckdb.IOException("No space left on device")
        return copy_relation(*arguments)

    monkeypatch.setattr(module, "copy_relation", fail_at_the_third)
    with pytest.raises(RetourError, match="it is as it was: No space left on device"):
        publish(warehouse)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["retour.duckdb"]


def test_a_publish_that_cannot_swap_leaves_the_published_file_as_it_was(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = publish(warehouse).path
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(RetourError, match=r"it is as it was: .*No space left on device"):
        publish(warehouse)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["retour.duckdb"]


def test_a_second_publish_waits_for_the_first(warehouse: Path) -> None:
    target = published_path(warehouse)
    target.parent.mkdir()
    half = target.with_name("retour.duckdb.tmp")
    with module.alone(target.parent, print):
        half.write_text("the first is at work")
        second = subprocess.Popen(
            [sys.executable, "-m", "retour", "publish", "--warehouse", str(warehouse)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert second.stdout is not None
        assert "waiting for another publish" in second.stdout.readline()
        assert half.read_text() == "the first is at work"
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0, output
    assert os.listdir(target.parent) == ["retour.duckdb"]


# readers


READER = """
import json, sys, time
from pathlib import Path
import duckdb

path, stop = sys.argv[1], Path(sys.argv[2])
reads, torn, errors, seen = 0, 0, [], set()
while not stop.exists():
    try:
        with duckdb.connect(path, read_only=True) as connection:
            (first,) = connection.execute("select distinct build from marts.first").fetchall()[0]
            rows = connection.execute(
                "select distinct build from marts.second"
                " union select build_id from marts.publication"
            ).fetchall()
        reads, torn = reads + 1, torn + (rows != [(first,)])
        seen.add(first)
    except Exception as error:
        errors.append(repr(error))
    time.sleep(0.01)
print(json.dumps({"reads": reads, "torn": torn, "errors": errors, "seen": len(seen)}))
"""
RUNS = (
    "create table raw.runs (invocation_id varchar, command varchar, started_at timestamp,"
    " finished_at timestamp)"
)


def test_readers_see_a_hundred_publishes_without_an_error_or_a_torn_read(
    warehouse: Path, tmp_path: Path
) -> None:
    """Each reader opens the file anew and asks two tables and the publication for their build."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(RUNS)
        for name in ("first", "second"):
            connection.execute(f"create table marts.{name} as select '' as build from range(2000)")

    def build_and_publish(number: int) -> Path:
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute("delete from raw.runs")
            connection.execute(
                "insert into raw.runs values (?, 'build', '2026-01-04', now())", [f"id{number}"]
            )
            for name in ("first", "second"):
                connection.execute(f"update marts.{name} set build = 'id{number}'")
        return publish(warehouse).path

    path, stop = build_and_publish(0), tmp_path / "stop"
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(path), str(stop)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        for number in range(1, 101):
            build_and_publish(number)
    finally:
        stop.touch()
        outputs = [reader.communicate(timeout=60)[0] for reader in readers]
    for output in outputs:
        found = json.loads(output)
        print(found)
        assert found["errors"] == []
        assert found["torn"] == 0
        assert found["reads"] >= found["seen"] > 10
    assert os.listdir(path.parent) == ["retour.duckdb"]


# kill -9


DIE = """
import os, signal, sys
from pathlib import Path
from retour import publish as module

def die_at(owner, name, call):
    original, calls = getattr(owner, name), []
    def wrapped(*arguments, **options):
        calls.append(name)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)
    setattr(owner, name, wrapped)
"""


def run_until_killed(script: str, folder: Path, *arguments: object) -> None:
    """Run a script that is to kill its own process the hardest way; dbt writes into `folder`."""
    paths = {name: str(folder / "target") for name in ("DBT_TARGET_PATH", "DBT_LOG_PATH")}
    result = subprocess.run(
        [sys.executable, "-c", DIE + textwrap.dedent(script), *map(str, arguments)],
        cwd=ROOT,
        env=environment() | paths,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == -signal.SIGKILL, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        ("module", "copy_relation", 1),
        ("module", "copy_relation", 4),
        ("module", "copy_rules", 1),
        ("module", "write_publication", 1),
        ("module", "publish_models", 1),
        ("module.os", "fsync", 1),
        ("Path", "replace", 1),
        ("module", "fsync_folder", 1),
        ("module", "remove_others", 1),
    ],
)
def test_a_publish_killed_at_any_moment_leaves_a_whole_file_and_the_next_completes(
    warehouse: Path, owner: str, name: str, call: int
) -> None:
    path = publish(warehouse).path
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("insert into marts.order_lines values ('shop', '3', 1, 1)")
    run_until_killed(
        f"""
        die_at({owner}, {name!r}, {call})
        module.publish(Path(sys.argv[1]))
        """,
        warehouse.parent,
        warehouse,
    )
    is_swapped = name in ("fsync_folder", "remove_others")
    count = "select count(*) from marts.order_lines"
    assert read(path, count) == [(3 if is_swapped else 2,)]
    publish(warehouse)
    assert read(path, count) == [(3,)]
    assert os.listdir(path.parent) == ["retour.duckdb"]


def test_a_build_killed_in_the_middle_or_before_its_publish_leaves_the_old_file(
    shop: Build, tmp_path: Path
) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("target"))
    build = Build(folder, sources=shop.sources)
    path = publish(build.warehouse).path
    before = path.read_bytes()
    lines = build.raw / "shop" / "order_lines.csv"
    line = "L12,A10,2025-06-11 10:00:00,ada,hat,north,1,15.50,,1.50,EUR,DE,hats,,"
    lines.write_text(f"{lines.read_text()}{line}\n")
    script = """
    from retour import build
    folder = Path(sys.argv[1])
    settings = build.Settings(
        sources=("shop",), raw=folder / "raw", warehouse=folder / "warehouse.duckdb"
    )
    """
    # in the middle: after some of the marts that read the new line
    run_until_killed(
        script
        + """
    def finished(self, node, result):
        if node.node_name == "orders":
            os.kill(os.getpid(), signal.SIGKILL)
    build.Progress.node_finished = finished
    build.build(settings)
    """,
        folder,
        folder,
    )
    # attached: as the first database of a connection the log of the killed build is not replayed
    with duckdb.connect() as connection:
        connection.execute(f"attach '{build.warehouse}' as warehouse (read_only)")
        count = "select count(*) from warehouse.marts.order_lines"
        assert connection.execute(count).fetchall() == [(21,)]
    assert path.read_bytes() == before
    with pytest.raises(RetourError, match=r"half built \(dbt build of .* was cut off\)"):
        publish(build.warehouse)
    assert path.read_bytes() == before

    # the next run is whole; killed before it publishes, the old file is still there
    run_until_killed(
        script
        + """
    die_at(build, "publish", 1)
    build.build(settings)
    """,
        folder,
        folder,
    )
    assert path.read_bytes() == before
    publish(build.warehouse)
    for table in ("order_lines", "orders", "kpis_daily"):
        count = f"select count(*), max(as_of_date) from marts.{table}"
        assert read(path, count) == read(build.warehouse, count)
    assert read(path, "select count(*) from marts.order_lines") == [(21,)]


def test_a_warehouse_in_use_is_reported_with_its_user_and_what_to_do(warehouse: Path) -> None:
    hold = f"import duckdb; c = duckdb.connect({str(warehouse)!r}); print('open'); input()"
    holder = subprocess.Popen(
        [sys.executable, "-uc", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(RetourError, match=rf"in use by .*PID {holder.pid}") as error:
            publish(warehouse)
    finally:
        holder.communicate("\n")
    assert str(published_path(warehouse)) in str(error.value)


@pytest.mark.parametrize(("newest", "is_refused"), [("fail", True), ("pass", False)])
def test_only_a_warehouse_whose_last_build_is_green_is_published(
    warehouse: Path, newest: str, is_refused: bool
) -> None:
    folder = warehouse.parent / "ops" / "run_results"
    folder.mkdir(parents=True)
    older = {"fail": "pass", "pass": "fail"}[newest]
    for day, command, status in ((1, "build", older), (2, "build", newest), (3, "run", "success")):
        duckdb.sql(
            f"""
            select 'id{day}' as invocation_id, '{command}' as command, '{status}' as status,
                'test.retour.assert_rows_are_conserved' as node_id,
                '2026-01-0{day} 00:00:00' as started_at
            """
        ).write_parquet(str(folder / f"id{day}.parquet"))
    if is_refused:
        with pytest.raises(RetourError, match="assert_rows_are_conserved"):
            publish(warehouse)
        assert not published_path(warehouse).exists()
    else:
        publish(warehouse)


def test_there_must_be_a_warehouse_with_marts(tmp_path: Path) -> None:
    with pytest.raises(RetourError, match=r"no warehouse at .*make build"):
        publish(tmp_path / "warehouse.duckdb")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("create table raw_lines as select 1 as one")
    with pytest.raises(RetourError, match="no marts"):
        publish(tmp_path / "warehouse.duckdb")
    assert os.listdir(tmp_path / "published") == []


def test_every_mart_of_the_demo_is_published_with_equal_rows(demo: Build) -> None:
    published = publish(demo.warehouse)
    names = "select schema_name, table_name from duckdb_tables() where schema_name = 'marts'"
    in_warehouse = set(read(demo.warehouse, names))
    assert set(read(published.path, names)) == in_warehouse | {
        ("marts", "publication"),
        ("marts", "publication_tables"),
    }
    with duckdb.connect(str(published.path), read_only=True) as connection:
        connection.execute(f"attach '{demo.warehouse}' as warehouse (read_only)")
        for schema, name in in_warehouse:
            difference = connection.execute(
                f"select count(*) from (from {schema}.{name} except all"
                f" from warehouse.{schema}.{name})"
            ).fetchall()
            assert difference == [(0,)], name


def test_the_command_publishes_an_existing_warehouse(warehouse: Path) -> None:
    command = [sys.executable, "-m", "retour", "publish", "--warehouse", str(warehouse)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "marts.order_lines: 2 rows" in result.stdout
    assert published_path(warehouse).is_file()
