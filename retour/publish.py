"""Publish: a copy of the public marts that readers may open at any time.

DuckDB locks a file for the whole process that writes it, so analysts and BI tools never open the
warehouse itself. They open `published/retour.duckdb`, which is written beside its final place and
swapped in by one rename: a reader sees the old file or the new one, never half of either.

What ends it in the middle, `kill -9` included, leaves the last published file as it was; what was
half written is removed by the next publish. A warehouse whose build failed or was cut off is not
published: its tables need not belong together.
"""

import contextlib
import fcntl
import os
import re
import shutil
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
    ("policy", "policy_model_features"),
    ("policy", "policy_reason_sentences"),
    ("intermediate", "int_source_currencies"),
    ("intermediate", "int_ids_excluded"),
    ("intermediate", "int_products_deduplicated"),
)
# the descriptions of the two tables that only the published file has; None: of the table itself
PUBLICATION: dict[str, dict[str | None, str]] = {
    "publication": {
        None: "One row per source in this file: which build it comes from and how far its data go.",
        "source": "The source, the first part of every key.",
        "as_of_date": "The newest event in the source's data, or the date the build was asked for.",
        "build_id": "dbt's id of the build, as in marts.run_results from the next build on.",
        "published_at": "When this file was written (UTC).",
        "duckdb_version": "The engine that wrote this file.",
    },
    "publication_tables": {
        None: "One row per table in this file: how many rows it has, and what tells them apart.",
        "schema_name": "marts, or reports.",
        "table_name": "The table.",
        "table_rows": "Its rows.",
        "key_columns": "The columns that tell its rows apart, with commas between; proved by the"
        " build, also where the table has no PRIMARY KEY.",
        "description": "What a row is, and who uses it.",
    },
}
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
    file as it was, if the warehouse is missing, locked, without marts or half built, or the copy
    fails. A second publish of the same warehouse waits for the first.
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
    temporary = target.with_name(f"{target.name}.tmp")
    with alone(target.parent, say):
        remove_leftovers(target)
        try:
            tables, rows = copy_marts(warehouse, temporary, say)
            models = saved_models(temporary)
            for problem in publish_models(warehouse, target.parent, models):
                say(problem)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            # nobody writes into it by mistake; the next publish replaces it all the same
            temporary.chmod(0o444)
            temporary.replace(target)
            fsync_folder(target.parent)
            remove_others(target.parent, models)
        except (duckdb.Error, OSError) as error:
            raise RetourError(f"Publishing {target} failed, it is as it was: {error}") from error
        finally:
            remove_leftovers(target)
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
        if interrupted := interrupted_run(connection):
            raise RetourError(
                f"{warehouse} is half built ({interrupted} was cut off): nothing was published."
                " Run `make build` again; what is published stays as it is."
            )
        version = f"storage_version '{STORAGE_VERSION}'"
        connection.execute(f"attach {literal(copy)} as published ({version})")
        relations = public_relations(connection)
        if not relations:
            raise RetourError(f"{warehouse} holds no marts: run `make build` first.")
        # one transaction: each of the many comments would otherwise wait for the disk
        connection.execute("use published; begin")
        for schema in sorted({schema for schema, *_ in relations}):
            connection.execute(f"create schema {quoted(schema)}")
        keys, comments = keys_of(connection), described(connection)
        contents = []
        for schema, name, definition in relations:
            key, is_constraint = keys.get((schema, name), ([], False))
            # large tables come as they are: to sort them would cost more than to copy them
            order = key if is_constraint else []
            rows = copy_relation(connection, schema, name, definition, order)
            described_by = comments.get((schema, name), [])
            copy_comments(connection, schema, name, described_by)
            about = next((comment for column, comment in described_by if column is None), None)
            contents.append((schema, name, rows, ", ".join(key) or None, about))
            say(f"{schema}.{name}: {rows:,} rows")
        copy_rules(connection)
        write_publication(connection, contents)
        connection.execute("commit; use memory; checkpoint published; detach published")
        return len(relations), sum(rows for _, _, rows, *_ in contents)


def interrupted_run(connection: duckdb.DuckDBPyConnection) -> str | None:
    """The run of dbt that began to change the warehouse and did not end, in words."""
    if not has_table(connection, "raw", "runs"):
        return None
    runs = connection.execute(
        """
        select 'dbt ' || command || ' of ' || strftime(started_at, '%Y-%m-%d %H:%M:%S') || ' UTC'
        from warehouse.raw.runs
        where finished_at is null
        order by started_at
        limit 1
        """
    ).fetchall()
    return runs[0][0] if runs else None


def has_table(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    """Whether the warehouse has this table."""
    (count,) = one(
        connection,
        "select count(*) from duckdb_tables() where database_name = 'warehouse'"
        f" and schema_name = {literal(schema)} and table_name = {literal(name)}",
    )
    return count > 0


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
    order: list[str],
) -> int:
    """Copy one table with types and constraints, ordered by these columns if any; its rows.

    A view becomes a table, because what it reads is not published.
    """
    target = f"published.{quoted(schema)}.{quoted(name)}"
    source = f"warehouse.{quoted(schema)}.{quoted(name)}"
    if definition is None:
        connection.execute(f"create table {target} as select * from {source}")
    else:
        connection.execute(definition)
        ordered = f" order by {', '.join(map(quoted, order))}" if order else ""
        connection.execute(f"insert into {target} select * from {source}{ordered}")
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


def keys_of(
    connection: duckdb.DuckDBPyConnection,
) -> dict[tuple[str, str], tuple[list[str], bool]]:
    """The columns of the key of each warehouse table, and whether they are its PRIMARY KEY; tables
    too large for the index of one declare a key (`meta.key`) that a test proves."""
    declared = []
    if has_table(connection, "raw", "mart_keys"):
        declared = connection.execute(
            "select schema_name, table_name, list(column_name order by position)"
            " from warehouse.raw.mart_keys group by schema_name, table_name"
        ).fetchall()
    keys = connection.execute(
        """
        select schema_name, table_name, constraint_column_names
        from duckdb_constraints()
        where database_name = 'warehouse' and constraint_type = 'PRIMARY KEY'
        """
    ).fetchall()
    return {(schema, name): (key, False) for schema, name, key in declared} | {
        (schema, name): (key, True) for schema, name, key in keys
    }


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


def write_publication(connection: duckdb.DuckDBPyConnection, contents: list[tuple]) -> None:
    """Write what this file is: marts.publication, the build and its as-of dates, and
    marts.publication_tables, what is in it (`contents`: schema, name, rows, key, description)."""
    build_id = "(select max_by(invocation_id, started_at) from warehouse.marts.run_results" + (
        " where command = 'build')"
    )
    if has_table(connection, "raw", "runs"):
        # run_results does not know the run that wrote it
        newest = "select max_by(invocation_id, started_at) from warehouse.raw.runs"
        build_id = f"coalesce(({newest} where command = 'build'), {build_id})"
    connection.execute(
        f"""
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
            {build_id} as build_id,
            cast(current_timestamp at time zone 'UTC' as timestamp) as published_at,
            version() as duckdb_version
        from (
            select source, max(as_of_date) as as_of_date
            from warehouse.marts.coverage
            group by source
        ) as sources
        order by sources.source;
        create table published.marts.publication_tables (
            schema_name varchar,
            table_name varchar,
            table_rows bigint not null,
            key_columns varchar,
            description varchar,
            primary key (schema_name, table_name)
        )
        """
    )
    if contents:
        # one statement: as many as there are tables took a tenth of a publish
        rows = ", ".join(["(?, ?, ?, ?, ?)"] * len(contents))
        connection.execute(
            f"insert into published.marts.publication_tables values {rows}",
            [value for row in contents for value in row],
        )
    for name, comments in PUBLICATION.items():
        copy_comments(connection, "marts", name, list(comments.items()))


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


@contextlib.contextmanager
def alone(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a folder for oneself; another who asks for it waits. A killed holder lets go."""
    with open_folder(folder) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another publish into {folder}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def remove_leftovers(target: Path) -> None:
    """Remove what publishes that were cut off have left: half a database, its log, its spill."""
    for leftover in target.parent.glob(f"{target.name}.*tmp*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


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


def unpublished(path: Path) -> str:
    """Said of a DuckDB file that is none of ours to read from."""
    return (
        f"{path} is no published file (it has no marts.publication): run `retour publish`, and name"
        " the file that it writes."
    )


def unreadable(path: Path, error: Exception) -> str:
    """Said of a file that DuckDB does not open."""
    why = explain_lock(path, error)
    if why != str(error):
        return why
    return (
        f"{path} cannot be read as a DuckDB file: run `retour publish`, and name the file that it"
        f" writes. DuckDB says: {why.splitlines()[0]}"
    )


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A value as an SQL string."""
    return "'" + str(value).replace("'", "''") + "'"
