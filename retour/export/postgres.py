"""PostgreSQL: everything in one transaction, which readers see as a whole or not at all.

Tables are made in a schema of their own, loaded by COPY, given keys, indexes and descriptions,
compared with the published file, and only then moved to their places.
"""

from collections.abc import Iterable

import psycopg
from psycopg import errors, sql

from retour.errors import RetourError
from retour.export import Job
from retour.export.contract import Column, Table, check_names, figures_of, figures_query
from retour.export.files import spooled, without_nul
from retour.export.indexes import indexes

ERRORS = (psycopg.Error,)
ROLE = "bi_readonly"
LOADING = "retour_loading"
TYPES = {
    "VARCHAR": "text",
    "DOUBLE": "double precision",
    "FLOAT": "real",
    "TINYINT": "smallint",
    "DECIMAL": "numeric",
}
# bytes; longer ones are cut off without a word
LONGEST_NAME = 63
CHUNK = 1 << 20
LOCK_SECONDS = 30


def write(job: Job) -> None:
    """Export to PostgreSQL."""
    check_names(job.tables, LONGEST_NAME, "PostgreSQL")
    try:
        connection = psycopg.connect(
            job.target,
            connect_timeout=15,
            application_name="retour export",
            client_encoding="UTF8",
        )
    except psycopg.Error as error:
        raise RetourError(f"PostgreSQL cannot be reached: {error}") from None
    with connection:
        try:
            load(job, connection)
        except errors.LockNotAvailable as error:
            raise RetourError(
                f"A table is in use by another session for more than {LOCK_SECONDS} s; everything"
                f" is as it was. Try again later. {error}"
            ) from None
        except errors.InsufficientPrivilege as error:
            raise RetourError(
                f"The database does not allow this user to do that: {error}\nThe user needs CREATE"
                " on the database, and must own what an earlier export has made."
            ) from None
        except errors.UntranslatableCharacter as error:
            raise RetourError(
                f"The database cannot hold every character ({error}). Create it with"
                " `encoding 'UTF8' template template0`."
            ) from None


def load(job: Job, connection: psycopg.Connection) -> None:
    """Do it all, inside the connection's transaction."""
    execute = connection.execute
    execute(f"set local lock_timeout = '{LOCK_SECONDS}s'")
    row = execute("select pg_try_advisory_xact_lock(hashtext('retour export'))").fetchone()
    if not row or not row[0]:
        raise RetourError("Another export into this database is running: try again later.")
    schemas = sorted({table.schema for table in job.tables})
    for schema in schemas:
        if not execute("select 1 from pg_namespace where nspname = %s", [schema]).fetchone():
            execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
    # none is left by a killed export: it was made inside its transaction
    execute(sql.SQL("create schema {}").format(sql.Identifier(LOADING)))
    has_role = make_role(job, connection)
    indexed = indexes(job.tables)
    for schema in schemas:
        # one schema after the other: two tables of one name would meet in LOADING
        tables = [table for table in job.tables if table.schema == schema]
        for table in tables:
            expected = job.source.figures(table)
            with job.exporting(table, expected) as arrived:
                load_table(job, connection, table, indexed[table.qualified])
                query = figures_query(table.columns, identifier(LOADING, table.name))
                found = execute(query.encode()).fetchone()
                arrived(figures_of(table.columns, found or ()))
        for table in tables:
            put_in_place(connection, table, has_role)
        if has_role:
            name = sql.Identifier(schema)
            execute(sql.SQL("grant usage on schema {} to {}").format(name, sql.Identifier(ROLE)))
    execute(sql.SQL("drop schema {}").format(sql.Identifier(LOADING)))


def make_role(job: Job, connection: psycopg.Connection) -> bool:
    """Make sure of the role that BI tools get; False, said, if this user may not create it."""
    if connection.execute("select 1 from pg_roles where rolname = %s", [ROLE]).fetchone():
        return True
    try:
        with connection.transaction():
            connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(ROLE)))
    except errors.InsufficientPrivilege:
        job.say(
            f"the role {ROLE} is missing and this user may not create it: ask for"
            f" `create role {ROLE}`; the next export grants it what it needs"
        )
        return False
    except errors.DuplicateObject:
        pass
    return True


def load_table(
    job: Job, connection: psycopg.Connection, table: Table, secondary: list[tuple[str, ...]]
) -> None:
    """Make a table in LOADING: columns, rows, key, indexes, descriptions, statistics."""
    name = identifier(LOADING, table.name)
    columns = ", ".join(
        f"{column.quoted} {kind(column)}{' not null' if column.is_required else ''}"
        for column in table.columns
    )
    run(connection, [f"create table {name} ({columns})"])
    values = [
        f"{without_nul(column)} as {column.quoted}" if column.is_text else column.quoted
        for column in table.columns
    ]
    statement = f"copy {name} from stdin (format csv, null 'NULL')"
    with (
        spooled(job, table, values).open("rb") as file,
        connection.cursor() as cursor,
        cursor.copy(statement.encode()) as copy,
    ):
        while chunk := file.read(CHUNK):
            copy.write(chunk)
    after = []
    if table.key:
        key = ", ".join(part.quoted for part in parts(table, table.key))
        after.append(f"alter table {name} add primary key ({key})")
    for index in secondary:
        after.append(f"create index on {name} ({', '.join(p.quoted for p in parts(table, index))})")
    if table.description:
        after.append(f"comment on table {name} is {text(table.description)}")
    after += [
        f"comment on column {name}.{column.quoted} is {text(column.description)}"
        for column in table.columns
        if column.description
    ]
    run(connection, [*after, f"analyze {name}"])


def put_in_place(connection: psycopg.Connection, table: Table, has_role: bool) -> None:
    """Put a loaded table where readers look for it; who could read the old one can read it."""
    live, new = identifier(table.schema, table.name), identifier(LOADING, table.name)
    exists = connection.execute("select to_regclass(%s)", [live]).fetchone()
    if exists and exists[0] and dependent_views(connection, live):
        refill(connection, table, live, new)
    else:
        granted = grants(connection, table) if exists and exists[0] else []
        schema = sql.Identifier(table.schema).as_string(connection)
        run(
            connection,
            [f"drop table if exists {live}", f"alter table {new} set schema {schema}", *granted],
        )
    if has_role:
        run(connection, [f"grant select on {live} to {ROLE}"])


def refill(connection: psycopg.Connection, table: Table, live: str, new: str) -> None:
    """Replace the rows only, because views of others read this table and would stop it."""
    columns = (
        "select array_agg(attname || ' ' || format_type(atttypid, atttypmod) order by attnum)"
        " from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
    )
    if len({str(connection.execute(columns, [name]).fetchone()) for name in (live, new)}) > 1:
        views = ", ".join(dependent_views(connection, live))
        raise RetourError(
            f"{table.qualified} has other columns than before, and views read it: {views}."
            " Drop them, export, and create them again."
        )
    run(
        connection,
        [
            f"truncate {live}",
            f"insert into {live} select * from {new}",
            f"drop table {new}",
            f"analyze {live}",
        ],
    )


def dependent_views(connection: psycopg.Connection, live: str) -> list[str]:
    """Views that read a table."""
    rows = connection.execute(
        """
        select distinct pg_rewrite.ev_class::regclass::text
        from pg_depend
        join pg_rewrite on pg_rewrite.oid = pg_depend.objid
        where pg_depend.refobjid = %s::regclass and pg_depend.classid = 'pg_rewrite'::regclass
        order by 1
        """,
        [live],
    ).fetchall()
    return [name for (name,) in rows]


def grants(connection: psycopg.Connection, table: Table) -> list[str]:
    """The statements that give others the rights to read that they have on the live table."""
    rows = connection.execute(
        """
        select distinct grantee
        from information_schema.role_table_grants
        where table_schema = %s and table_name = %s and privilege_type = 'SELECT'
            and grantee <> current_user
        """,
        [table.schema, table.name],
    ).fetchall()
    live = identifier(table.schema, table.name)
    return [
        f"grant select on {live} to "
        + ("public" if grantee == "PUBLIC" else sql.Identifier(grantee).as_string(connection))
        for (grantee,) in rows
    ]


def run(connection: psycopg.Connection, statements: Iterable[str]) -> None:
    """Run statements in one round trip."""
    connection.execute("; ".join(statements).encode(), prepare=False)


def kind(column: Column) -> str:
    """The type of a column in PostgreSQL."""
    name, bracket, rest = column.type.partition("(")
    return TYPES.get(name, name.lower()) + bracket + rest


def parts(table: Table, names: Iterable[str]) -> list[Column]:
    """Columns by their names."""
    by_name = {column.name: column for column in table.columns}
    return [by_name[name] for name in names]


def identifier(schema: str, name: str) -> str:
    """A qualified name."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name))


def text(value: str) -> str:
    """A string, whatever standard_conforming_strings is; a comment cannot hold NUL."""
    clean = value.replace("\0", "\ufffd").replace("\\", "\\\\").replace("'", "''")
    return f"E'{clean}'"
