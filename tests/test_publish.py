"""Publishing: what is copied, what is kept, and that a failure leaves the old file alone."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from retour import publish as module
from retour.errors import RetourError
from retour.publish import publish, published_path
from tests.support import ROOT, Build

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


def test_leftovers_of_interrupted_runs_are_removed_but_not_those_of_running_ones(
    warehouse: Path,
) -> None:
    folder = published_path(warehouse).parent
    folder.mkdir()
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    for name in (f"retour.duckdb.{finished.pid}.tmp", f"retour.duckdb.{finished.pid}.tmp.wal"):
        (folder / name).write_text("half")
    running = folder / f"retour.duckdb.{os.getppid()}.tmp"
    running.write_text("somebody is writing this")
    publish(warehouse)
    assert sorted(os.listdir(folder)) == ["retour.duckdb", running.name]


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
    assert set(read(published.path, names)) == in_warehouse | {("marts", "publication")}
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
