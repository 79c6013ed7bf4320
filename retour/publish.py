"""Publish: a copy of the public marts that readers may open at any time.

DuckDB locks a file for the whole process that writes it, so analysts and BI tools never open the
warehouse itself. They open `published/retour.duckdb`, which is written beside its final place and
swapped in by one rename: a reader sees the old file or the new one, never half of either.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from retour.errors import RetourError
from retour.model_files import publish_models, remove_others

PUBLIC_SCHEMAS = ("marts", "reports")
# BI drivers carry older engines: this format opens in DuckDB 1.2 and everything later
STORAGE_VERSION = "v1.2.0"
# what `retour score` and `retour serve` apply to lines to be: schema scoring of the published file
RULES = (
    ("policy", "policy_parameters"),
    ("policy", "policy_guest_ids"),
    ("policy", "policy_fx_rates"),
    ("intermediate", "int_source_currencies"),
    ("intermediate", "int_ids_excluded"),
    ("intermediate", "int_products_deduplicated"),
)
# dbt's names for tables that an interrupted run left behind
UNFINISHED = r"__dbt_(tmp|backup)$"


@dataclass(frozen=True)
class Published:
    """What one publish wrote: the file, its tables and the rows of all of them."""

    path: Path
    tables: int
    rows: int


def published_path(warehouse: Path) -> Path:
    """The published file that belongs to a warehouse."""
    return warehouse.parent / "published" / "retour.duckdb"


def publish(warehouse: Path, say: Callable[[str], None] = lambda message: None) -> Published:
    """Copy the public marts of a warehouse into its published file and swap it in.

    `say` is called with one short text per table. Raises RetourError, and leaves the published
    file as it was, if the warehouse is missing, locked, without marts, or the copy fails.
    """
    if not warehouse.is_file():
        raise RetourError(f"There is no warehouse at {warehouse}: run `make build` first.")
    if failed := failures_of_last_build(warehouse):
        raise RetourError(
            f"The last build of {warehouse} failed ({', '.join(failed)}): nothing was published."
            " Run `make build` to see why and what to do."
        )
    target = published_path(warehouse)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target)
    # the process id says whose file it is, so that a second publish does not remove it
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        tables, rows = copy_marts(warehouse, temporary, say)
        models = saved_models(temporary)
        for problem in publish_models(warehouse, target.parent, models):
            say(problem)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        fsync_folder(target.parent)
        remove_others(target.parent, models)
    except duckdb.Error as error:
        raise RetourError(f"Publishing {target} failed, it is as it was: {error}") from error
    finally:
        remove(temporary)
    return Published(target, tables, rows)


def saved_models(published: Path) -> list[tuple[str, str, str]]:
    """Task, source and SHA-256 of the saved models that model_runs of a published file names."""
    with duckdb.connect(str(published), read_only=True) as connection:
        there = connection.execute(
            """
            select 1
            from duckdb_columns()
            where
                schema_name = 'marts' and table_name = 'model_runs'
                and column_name = 'model_sha256'
            """
        ).fetchall()
        if not there:
            return []
        return connection.execute(
            """
            select distinct task, source, model_sha256
            from marts.model_runs
            where model_sha256 is not null
            order by task, source
            """
        ).fetchall()


def failures_of_last_build(warehouse: Path) -> list[str]:
    """Names of the nodes that failed in the newest `dbt build` beside this warehouse."""
    files = [str(path) for path in warehouse.parent.glob("ops/run_results/*.parquet")]
    if not files:
        return []
    with duckdb.connect() as connection:
        failed = connection.execute(
            """
            with builds as (
                select invocation_id, node_id, status, started_at
                from read_parquet(?, union_by_name = true)
                where command = 'build'
            )
            select split_part(node_id, '.', 3)
            from builds
            where
                invocation_id = (select max_by(invocation_id, started_at) from builds)
                and status in ('error', 'fail', 'runtime error')
            order by node_id
            limit 3
            """,
            [files],
        ).fetchall()
    return [name for (name,) in failed]


def copy_marts(warehouse: Path, copy: Path, say: Callable[[str], None]) -> tuple[int, int]:
    """Write every public table of `warehouse` into the new file `copy`; number of tables, rows."""
    with duckdb.connect(config={"temp_directory": f"{copy}.spill"}) as connection:
        try:
            connection.execute(f"attach {literal(warehouse)} as warehouse (read_only)")
        except duckdb.Error as error:
            raise RetourError(explain_lock(warehouse, error)) from error
        version = f"storage_version '{STORAGE_VERSION}'"
        connection.execute(f"attach {literal(copy)} as published ({version})")
        relations = public_relations(connection)
        if not relations:
            raise RetourError(f"{warehouse} holds no marts: run `make build` first.")
        # one transaction: each of the many comments would otherwise wait for the disk
        connection.execute("use published; begin")
        for schema in sorted({schema for schema, *_ in relations}):
            connection.execute(f"create schema {quoted(schema)}")
        keys, comments = primary_keys(connection), described(connection)
        total = 0
        for schema, name, definition in relations:
            key = keys.get((schema, name), [])
            rows = copy_relation(connection, schema, name, definition, key)
            copy_comments(connection, schema, name, comments.get((schema, name), []))
            total += rows
            say(f"{schema}.{name}: {rows:,} rows")
        copy_rules(connection)
        write_publication(connection)
        connection.execute("commit; use memory; checkpoint published; detach published")
        return len(relations), total


def public_relations(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str | None]]:
    """Schema, name and (for tables) the definition of everything public in the warehouse."""
    return connection.execute(
        """
        select schema_name, table_name, sql as definition
        from duckdb_tables()
        where database_name = 'warehouse'
            and list_contains($schemas, schema_name)
            and not regexp_matches(table_name, $unfinished)
        union all
        select schema_name, view_name, null as definition
        from duckdb_views()
        where database_name = 'warehouse'
            and list_contains($schemas, schema_name)
            and not regexp_matches(view_name, $unfinished)
        order by 1, 2
        """,
        {"schemas": list(PUBLIC_SCHEMAS), "unfinished": UNFINISHED},
    ).fetchall()


def copy_relation(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    name: str,
    definition: str | None,
    key: list[str],
) -> int:
    """Copy one table with types and constraints, in the order of its key; its rows.

    A view becomes a table, because what it reads is not published.
    """
    target = f"published.{quoted(schema)}.{quoted(name)}"
    source = f"warehouse.{quoted(schema)}.{quoted(name)}"
    if definition is None:
        connection.execute(f"create table {target} as select * from {source}")
    else:
        connection.execute(definition)
        order = f" order by {', '.join(map(quoted, key))}" if key else ""
        connection.execute(f"insert into {target} select * from {source}{order}")
    (rows,) = one(connection, f"select count(*) from {target}")
    (expected,) = one(connection, f"select count(*) from {source}")
    if rows != expected:
        raise RetourError(f"{schema}.{name}: {expected:,} rows in the warehouse, {rows:,} copied.")
    return rows


def copy_rules(connection: duckdb.DuckDBPyConnection) -> None:
    """Copy what new lines are read and judged by, as far as the warehouse has it."""
    there = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = 'warehouse'"
        " union all"
        " select schema_name, view_name from duckdb_views() where database_name = 'warehouse'"
    ).fetchall()
    for schema, name in RULES:
        if (schema, name) in there:
            connection.execute("create schema if not exists published.scoring")
            connection.execute(
                f"create table published.scoring.{name} as from warehouse.{schema}.{name}"
            )


# the catalog is asked once for all tables: each question reads all of it


def primary_keys(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], list[str]]:
    """The columns of the primary key of each warehouse table that has one."""
    keys = connection.execute(
        """
        select schema_name, table_name, constraint_column_names
        from duckdb_constraints()
        where database_name = 'warehouse' and constraint_type = 'PRIMARY KEY'
        """
    ).fetchall()
    return {(schema, name): key for schema, name, key in keys}


def described(
    connection: duckdb.DuckDBPyConnection,
) -> dict[tuple[str, str], list[tuple[str | None, str]]]:
    """The descriptions that dbt wrote as comments: per relation its own (of no column), and those
    of its columns."""
    rows = connection.execute(
        """
        select schema_name, table_name, null as column_name, comment
        from duckdb_tables()
        where database_name = 'warehouse'
        union all
        select schema_name, view_name, null as column_name, comment
        from duckdb_views()
        where database_name = 'warehouse'
        union all
        select schema_name, table_name, column_name, comment
        from duckdb_columns()
        where database_name = 'warehouse'
        """
    ).fetchall()
    found: dict[tuple[str, str], list[tuple[str | None, str]]] = {}
    for schema, name, column, comment in rows:
        if comment:
            found.setdefault((schema, name), []).append((column, comment))
    return found


def copy_comments(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    name: str,
    comments: list[tuple[str | None, str]],
) -> None:
    """Describe a published relation and its columns."""
    target = f"{quoted(schema)}.{quoted(name)}"
    for column, comment in comments:
        of = f"table {target}" if column is None else f"column {target}.{quoted(column)}"
        connection.execute(f"comment on {of} is {literal(comment)}")


def write_publication(connection: duckdb.DuckDBPyConnection) -> None:
    """Write marts.publication, which says what this file is: the build and its as-of dates."""
    connection.execute(
        """
        create table published.marts.publication (
            source varchar primary key,
            as_of_date date,
            build_id varchar,
            published_at timestamp not null,
            duckdb_version varchar not null
        );
        insert into published.marts.publication
        select
            sources.source,
            sources.as_of_date,
            (
                select max_by(invocation_id, started_at)
                from warehouse.marts.run_results
                where command = 'build'
            ) as build_id,
            cast(current_timestamp at time zone 'UTC' as timestamp) as published_at,
            version() as duckdb_version
        from (
            select source, max(as_of_date) as as_of_date
            from warehouse.marts.coverage
            group by source
        ) as sources
        order by sources.source;
        comment on table published.marts.publication is
            'One row per source in this file: which build it comes from and how far its data go.';
        comment on column published.marts.publication.source is
            'The source, the first part of every key.';
        comment on column published.marts.publication.as_of_date is
            'The newest event in the source''s data, or the date the build was asked for.';
        comment on column published.marts.publication.build_id is
            'dbt''s id of the build, as in marts.run_results.';
        comment on column published.marts.publication.published_at is
            'When this file was written (UTC).';
        comment on column published.marts.publication.duckdb_version is
            'The engine that wrote this file.';
        """
    )


def explain_lock(warehouse: Path, error: Exception) -> str:
    """A database error on opening a file, in plain words if it is another process's lock."""
    text = str(error)
    if "Conflicting lock" not in text and "Could not set lock" not in text:
        return text
    holder = re.search(r"held in (.+? \(PID \d+\))", text)
    return (
        f"{warehouse} is in use by {holder[1] if holder else 'another program'}.\n"
        "Close it, or wait until its build is over, and try again. To read results while a build"
        f" runs, open the published copy instead: {published_path(warehouse)}"
    )


def remove_leftovers(target: Path) -> None:
    """Remove the temporary files of publishes that were interrupted."""
    for leftover in target.parent.glob(f"{target.name}.*.tmp"):
        pid = leftover.name.removeprefix(f"{target.name}.").removesuffix(".tmp")
        if not (pid.isdigit() and is_running(int(pid))):
            remove(leftover)


def remove(temporary: Path) -> None:
    """Remove a temporary database and its log, if they are there."""
    for path in (temporary, temporary.with_name(f"{temporary.name}.wal")):
        path.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Whether a process of this machine has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def fsync_folder(folder: Path) -> None:
    """Make a rename inside the folder survive a power cut."""
    with open_folder(folder) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def open_folder(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple:
    """The only row of a query."""
    row = connection.execute(query).fetchone()
    assert row is not None
    return row


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A value as an SQL string."""
    return "'" + str(value).replace("'", "''") + "'"
