"""Exports to real servers: PostgreSQL and MariaDB on loopback, and to Tableau's own engine."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pymysql
import pytest

from retour import export as module
from retour.errors import RetourError
from retour.export import export, mysql, postgres
from retour.publish import publish, quoted
from tests.servers import PASSWORD, MariaDB, Postgres, Server, missing, running
from tests.support import ROOT, Build, environment
from tests.test_export import ODD_COLUMN, ODD_TABLE, TEXTS, make_warehouse, outcomes

TABLEAU = ROOT / ".venv-tableau"


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[Postgres]:
    with running(Postgres) as server:
        yield server


@pytest.fixture(scope="module")
def mariadb_server() -> Iterator[MariaDB]:
    with running(MariaDB) as server:
        yield server


@pytest.fixture(params=["postgres", "mysql"])
def server(request: pytest.FixtureRequest) -> Server:
    name = {"postgres": "postgres_server", "mysql": "mariadb_server"}[request.param]
    return request.getfixturevalue(name)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(make_warehouse(tmp_path_factory.mktemp("odd") / "warehouse.duckdb")).path


@pytest.fixture(scope="module")
def smaller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but one row is gone everywhere: who sees it knows that an export went through."""
    warehouse = make_warehouse(tmp_path_factory.mktemp("smaller") / "warehouse.duckdb")
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("delete from marts.texts where number > 1000")
        connection.execute("delete from marts.customers where customer_id = 'A'")
    return publish(warehouse).path


class Target:
    """A database of its own on a server, and how to export into it and ask it."""

    def __init__(self, server: Server, name: str, ops: Path) -> None:
        self.server, self.name, self.ops = server, name, ops
        self.kind = "postgres" if isinstance(server, Postgres) else "mysql"
        with server.connect("") as connection:
            connection.cursor().execute(f"create database {name}")

    def export(self, published: Path, address: str | None = None, **options: Any) -> None:
        export(
            to=self.kind,
            published=published,
            ops=self.ops,
            target=address or self.server.address(self.name),
            **options,
        )

    def ask(self, query: str, **options: Any) -> list[tuple]:
        """The rows of a query in which names are quoted by double quotes."""
        with self.server.connect(self.name, **options) as connection, connection.cursor() as cursor:
            if self.kind == "mysql":
                cursor.execute("set session sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
                query = query.replace("marts.", "").replace("reports.", "")
            cursor.execute(query)
            return list(cursor.fetchall()) if cursor.description else []

    def counts(self) -> list[tuple]:
        return self.ask(
            "select (select count(*) from marts.texts), (select count(*) from marts.customers)"
        )

    def leftovers(self) -> list[tuple]:
        """What is in the database that is neither a mart nor of the server."""
        if self.kind == "mysql":
            return self.ask("show tables like '\\_\\_%'") + self.ask("show tables like '__retour%'")
        return self.ask("select nspname from pg_namespace where nspname like 'retour%'")


@pytest.fixture
def target(server: Server, tmp_path: Path, request: pytest.FixtureRequest) -> Target:
    number = abs(hash(request.node.nodeid)) % 10**12
    return Target(server, f"retour_{number}", tmp_path / "ops")


LARGER, SMALLER = [(len(TEXTS) + 1, 2)], [(len(TEXTS), 1)]


def test_the_demo_arrives_whole(
    demo: Build, postgres_server: Postgres, mariadb_server: MariaDB, tmp_path: Path
) -> None:
    """Every table: rows and sums; those of up to 2,000 rows: every value."""
    path = demo.published if demo.published.is_file() else publish(demo.warehouse).path
    for server in (postgres_server, mariadb_server):
        target = Target(server, "demo", tmp_path / "ops")
        target.export(path)
        with duckdb.connect(str(path), read_only=True) as connection:
            tables = connection.execute(
                "select schema_name, table_name, estimated_size from duckdb_tables()"
                " where schema_name in ('marts', 'reports')"
            ).fetchall()
            assert len(tables) > 60
            for schema, name, rows in tables:
                compare(connection, target, f"{schema}.{name}", rows <= 2000)
    rows = outcomes(tmp_path, "table_name, format, status, checksum")
    assert {status for _, _, status, _ in rows} == {"exported"}
    sums = [
        {(name, checksum) for name, to, _, checksum in rows if to == one}
        for one in ("postgres", "mysql")
    ]
    assert sums[0] == sums[1] and len(sums[0]) == len(tables)


def compare(
    connection: duckdb.DuckDBPyConnection, target: Target, table: str, each_value: bool
) -> None:
    """One table on both sides, in plain SQL of its own."""
    columns = connection.execute(
        "select column_name, data_type from duckdb_columns()"
        " where schema_name || '.' || table_name = ? order by column_index",
        [table],
    ).fetchall()
    exact = [
        f'sum("{name}")' for name, kind in columns if kind == "BIGINT" or kind[:7] == "DECIMAL"
    ]
    query = f"select {', '.join(['count(*)', *exact])} from {table}"
    assert as_decimals(target.ask(query)) == as_decimals(connection.execute(query).fetchall()), (
        table
    )
    if each_value:
        names = ", ".join(f'"{name}"' for name, _ in columns)
        query = f"select {names} from {table}"
        found, expected = (
            sorted(map(repr, map(as_values, rows)))
            for rows in (target.ask(query), connection.execute(query).fetchall())
        )
        assert found == expected, table


def as_decimals(rows: list[tuple]) -> list[list[Decimal | None]]:
    return [[None if value is None else Decimal(value) for value in row] for row in rows]


def as_values(row: tuple) -> list[object]:
    """A row in which booleans are numbers, as in MySQL."""
    return [int(value) if isinstance(value, bool) else value for value in row]


def test_hostile_text_arrives_as_it_is(target: Target, published: Path) -> None:
    target.export(published)
    rows = target.ask("select number, content from marts.texts order by number")
    assert [text for _, text in rows[:-1]] == [text.replace("\0", "\ufffd") for text in TEXTS]
    assert rows[-1] == (2**62, None)
    odd_table, odd_column = (quoted(name) for name in (ODD_TABLE, ODD_COLUMN))
    if target.kind == "postgres":
        odd_table = f"marts.{odd_table}"
    assert target.ask(f"select {odd_column} from {odd_table}") == [(7,)]
    large, moment = target.ask("select large, moment from marts.texts where number = 0")[0]
    assert str(large) == "1234567890123456789012345678901234.5678"
    assert moment.microsecond == 123456
    assert target.ask("select count(*) from reports.rpt_empty") == [(0,)]


def test_keys_indexes_descriptions_and_the_role_are_there(target: Target, published: Path) -> None:
    target.export(published)
    name = target.name
    if target.kind == "postgres":
        described = (
            "select obj_description('marts.texts'::regclass) union all"
            " select col_description('marts.texts'::regclass, 3)"
        )
        indexes = "select indexdef from pg_indexes where schemaname = 'marts'"
        kinds = (
            "select format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = 'marts.texts'::regclass and attnum > 0 order by attnum"
        )
        expected = ["text", "bigint", "text", "numeric(18,4)", "numeric(38,4)", "double precision"]
        expected += ["boolean", "date", "timestamp without time zone", "text"]
    else:
        described = (
            "select table_comment from information_schema.tables"
            f" where table_schema = '{name}' and table_name = 'texts' union all"
            " select column_comment from information_schema.columns"
            f" where table_schema = '{name}' and table_name = 'texts' and column_name = 'content'"
        )
        indexes = (
            "select concat(table_name, ' (', group_concat(column_name order by seq_in_index"
            " separator ', '), ')') from information_schema.statistics"
            f" where table_schema = '{name}' group by table_name, index_name"
        )
        kinds = (
            "select column_type from information_schema.columns"
            f" where table_schema = '{name}' and table_name = 'texts' order by ordinal_position"
        )
        expected = ["varchar(32)", "bigint(20)", "text", "decimal(18,4)", "decimal(38,4)", "double"]
        expected += ["tinyint(1)", "date", "datetime(6)", "varchar(32)"]
    assert target.ask(described) == [('One row per it\'s \\ "text".',), ("Its; content -- \\",)]
    assert [kind for (kind,) in target.ask(kinds)] == expected
    found = " ".join(text for (text,) in target.ask(indexes))
    for key in ("(source, number)", "(source, customer_id)", "(schema_name, table_name)"):
        assert key in found
    # equal but for the case: both rows of customers are there under one key
    assert target.counts() == LARGER

    user = f"reader_{name[-8:]}"
    if target.kind == "postgres":
        with target.server.connect(name) as connection:
            connection.execute(f"create user {user} password 'reader' in role bi_readonly")
        options = {"user": user, "password": "reader"}
    else:
        with target.server.connect("") as connection, connection.cursor() as cursor:
            cursor.execute(f"create user {user} identified by 'reader'")
            cursor.execute(f"grant bi_readonly to {user}")
            cursor.execute(f"set default role bi_readonly for {user}")
        options = {"user": user, "password": "reader"}
    assert target.ask("select count(*) from marts.customers", **options) == [(2,)]
    for statement in (
        "delete from marts.customers",
        "insert into marts.customers values ('a', 'b')",
        "create table marts.mine (a int)",
    ):
        with pytest.raises((psycopg.Error, pymysql.Error), match=r"denied"):
            target.ask(statement, **options)


def test_the_next_export_replaces_everything_and_leaves_nothing_else(
    target: Target, published: Path, smaller: Path
) -> None:
    target.export(published)
    view = "public.mine" if target.kind == "postgres" else "mine"
    target.ask(f"create view {view} as select count(*) as n from marts.texts")
    target.export(smaller)
    assert target.counts() == SMALLER
    assert target.ask("select n from mine") == [(SMALLER[0][0],)]
    assert target.leftovers() == []


# what goes wrong


@pytest.mark.parametrize("moment", ["first", "loaded", "last"])
def test_a_server_killed_in_the_middle_keeps_the_live_tables(
    target: Target,
    published: Path,
    smaller: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    target.export(published)
    writer = postgres if target.kind == "postgres" else mysql
    step = {
        # while the first table is loaded, after some of them, right before they are put in place
        "first": ("load_table" if target.kind == "postgres" else "load_file", 1),
        "loaded": ("load_table" if target.kind == "postgres" else "load_file", 4),
        "last": ("put_in_place", 1),
    }[moment]
    original, calls = getattr(writer, step[0]), []

    def killing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == step[1]:
            target.server.kill()
        return original(*arguments)

    monkeypatch.setattr(writer, step[0], killing)
    with pytest.raises(RetourError, match="as it was"):
        target.export(smaller)
    monkeypatch.undo()
    target.server.start()
    assert target.counts() == LARGER
    statuses = outcomes(target.ops.parent, "status, count(*)  over (partition by status)")
    assert set(statuses) == {("exported", 8), ("failed", 8)}
    target.export(smaller)
    assert target.counts() == SMALLER
    assert target.leftovers() == []


def test_a_table_in_use_is_waited_for_and_then_left_alone(
    target: Target, published: Path, smaller: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.export(published)
    writer = postgres if target.kind == "postgres" else mysql
    monkeypatch.setattr(writer, "LOCK_SECONDS", 1)
    with target.server.connect(target.name, autocommit=False) as holder:
        table = "marts.customers" if target.kind == "postgres" else "customers"
        holder.cursor().execute(f"select * from {table} limit 1")
        with pytest.raises(RetourError, match="in use by another session"):
            target.export(smaller)
        holder.rollback()
    assert target.counts() == LARGER
    target.export(smaller)
    assert target.counts() == SMALLER
    assert target.leftovers() == []


def test_two_exports_do_not_meet(target: Target, published: Path) -> None:
    lock = {
        "postgres": "select pg_advisory_lock(hashtext('retour export'))",
        "mysql": "select get_lock(concat('retour export ', md5(database())), 0)",
    }[target.kind]
    with target.server.connect(target.name) as holder:
        holder.cursor().execute(lock)
        with pytest.raises(RetourError, match="Another export into this database is running"):
            target.export(published)


@pytest.mark.parametrize("wrong", ["password", "database", "port"])
def test_who_cannot_connect_reads_why_but_no_password(
    target: Target, published: Path, wrong: str, tmp_path: Path
) -> None:
    address = {
        "password": target.server.address(target.name, password="hunter3%3A"),
        "database": target.server.address("nowhere"),
        "port": target.server.address(target.name).replace(f":{target.server.port}/", ":1/"),
    }[wrong]
    command = [sys.executable, "-m", "retour", "export", "--to", target.kind]
    command += ["--published", str(published), "--warehouse", str(tmp_path / "warehouse.duckdb")]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=environment() | {module.ENVIRONMENT: address},
        capture_output=True,
        text=True,
    )
    said = result.stdout + result.stderr + str(outcomes(tmp_path))
    assert result.returncode == 1
    assert "cannot be reached" in result.stderr
    for secret in (PASSWORD, "hunter2", "hunter3"):
        assert secret not in said
    assert "Traceback" not in said


def test_who_may_not_write_reads_what_is_needed(target: Target, published: Path) -> None:
    user = f"guest_{target.name[-8:]}"
    with target.server.connect(target.name) as connection, connection.cursor() as cursor:
        if target.kind == "postgres":
            cursor.execute(f"create user {user} password 'guest'")
        else:
            cursor.execute(f"create user {user} identified by 'guest'")
            cursor.execute(f"grant select on {target.name}.* to {user}")
    with pytest.raises(RetourError, match=r"(?s)does not allow this user .*needs .*CREATE"):
        target.export(published, target.server.address(target.name, user, "guest"))
    assert target.leftovers() == []


def test_a_user_who_may_not_make_roles_exports_and_is_told(target: Target, published: Path) -> None:
    user = f"owner_{target.name[-8:]}"
    with target.server.connect(target.name) as connection, connection.cursor() as cursor:
        if target.kind == "postgres":
            cursor.execute(f"create user {user} password 'owner'")
            cursor.execute(f"grant create on database {target.name} to {user}")
            cursor.execute("drop role if exists bi_readonly") if not used(cursor) else None
        else:
            cursor.execute(f"create user {user} identified by 'owner'")
            cursor.execute(f"grant all on {target.name}.* to {user}")
    said: list[str] = []
    address = target.server.address(target.name, user, "owner")
    target.export(published, address, say=said.append)
    assert target.counts() == LARGER
    if target.kind == "mysql":
        assert any("may not create the role bi_readonly" in line for line in said)


def used(cursor: Any) -> bool:
    cursor.execute("select 1 from pg_shdepend where refobjid = 'bi_readonly'::regrole limit 1")
    return cursor.fetchone() is not None


# one database's own


def test_postgres_that_cannot_hold_the_text_says_how_it_could(
    postgres_server: Postgres, published: Path, tmp_path: Path
) -> None:
    with postgres_server.connect("") as connection:
        connection.execute("create database latin encoding 'LATIN1' template template0")
    with pytest.raises(RetourError, match=r"(?s)cannot hold every character.*encoding 'UTF8'"):
        address = postgres_server.address("latin")
        export(to="postgres", published=published, ops=tmp_path / "ops", target=address)
    with postgres_server.connect("latin") as connection:
        tables = connection.execute(
            "select count(*) from pg_tables where schemaname not like 'pg_%'"
            " and schemaname <> 'information_schema'"
        ).fetchall()
    assert tables == [(0,)]


def test_postgres_names_the_views_that_stand_in_the_way(
    postgres_server: Postgres, published: Path, smaller: Path, tmp_path: Path
) -> None:
    target = Target(postgres_server, "with_views", tmp_path / "ops")
    target.export(published)
    target.ask("create view public.mine as select customer_id from marts.customers")
    target.ask("grant select on marts.texts to public")
    changed = tmp_path / "changed" / "warehouse.duckdb"
    make_warehouse(changed)
    with duckdb.connect(str(changed)) as connection:
        connection.execute("alter table marts.customers add column country varchar")
    with pytest.raises(RetourError, match=r"marts.customers has other columns .*: mine"):
        target.export(publish(changed).path)
    assert target.counts() == LARGER
    target.export(smaller)
    # rights that somebody gave stay
    rights = "select grantee from information_schema.role_table_grants where table_name = 'texts'"
    assert ("PUBLIC",) in target.ask(rights)


def test_mysql_without_local_files_is_slower_and_the_same(
    mariadb_server: MariaDB, published: Path, tmp_path: Path
) -> None:
    target = Target(mariadb_server, "without_files", tmp_path / "ops")
    said: list[str] = []
    try:
        target.ask("set global local_infile = 0")
        target.export(published, say=said.append)
    finally:
        target.ask("set global local_infile = 1")
    assert any("does not allow LOAD DATA LOCAL" in line for line in said)
    rows = target.ask("select content from texts order by number")
    assert [text for (text,) in rows[:-1]] == [text.replace("\0", "\ufffd") for text in TEXTS]


def test_mysql_does_not_load_what_it_would_change(mariadb_server: MariaDB, tmp_path: Path) -> None:
    warehouse = make_warehouse(tmp_path / "nan" / "warehouse.duckdb")
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("update marts.texts set share = 'nan' where number = 1")
    target = Target(mariadb_server, "with_nan", tmp_path / "ops")
    with pytest.raises(RetourError, match="share has 22 values, 21 arrived"):
        target.export(publish(warehouse).path)
    assert target.ask("show tables like 'texts'") == []


# Tableau


def test_an_extract_holds_every_table(published: Path, tmp_path: Path) -> None:
    """Tableau's engine lies in an environment of its own, over this one."""
    packages = next(iter(TABLEAU.glob("lib/python*/site-packages")), None)
    if packages is None or not (packages / "tableauhyperapi").is_dir():
        missing("tableauhyperapi")
    env = environment() | {"PYTHONPATH": str(packages)}
    command = [sys.executable, "-m", "retour", "export", "--to", "hyper"]
    command += ["--published", str(published), "--warehouse", str(tmp_path / "warehouse.duckdb")]
    target = tmp_path / "out"
    for _ in range(2):
        result = subprocess.run(
            [*command, "--target", str(target)], cwd=ROOT, env=env, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout + result.stderr
    assert sorted(os.listdir(target)) == ["manifest.json", "retour.hyper"]
    script = """
    import sys
    from tableauhyperapi import *
    quiet = Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU
    with HyperProcess(quiet, parameters={"log_config": ""}) as hyper:
        with Connection(hyper.endpoint, sys.argv[1]) as connection:
            rows = connection.execute_list_query(
                'select number, content, amount, large, moment from marts.texts order by number')
            types = connection.catalog.get_table_definition(TableName("marts", "texts"))
            print(repr([[str(value) for value in row] for row in rows]))
            print(repr([str(column.type) for column in types.columns]))
    """
    shown = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(target / "retour.hyper")],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    rows, types = (eval(line) for line in shown.stdout.splitlines())
    texts = [text.replace("\0", "\ufffd") for text in TEXTS]
    assert [row[1] for row in rows] == [*texts, "None"]
    assert rows[1][2] == "-0.0001"
    assert rows[0][3] == "1234567890123456789012345678901234.5678"
    assert rows[0][4].endswith("23:59:59.123456")
    assert types[:5] == ["TEXT", "BIG_INT", "TEXT", "NUMERIC(18, 4)", "NUMERIC(38, 4)"]
