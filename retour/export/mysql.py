"""MySQL and MariaDB: tables are loaded under other names, then one RENAME puts all in place.

A statement that creates or drops a table commits at once there, so there is no transaction to fall
back on: whatever ends an export before the RENAME leaves the live tables alone, and the next one
removes what is left over. RENAME of many tables is one step for every reader.
"""

import os
import re
import ssl
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import ER

from retour.errors import RetourError
from retour.export import Job
from retour.export.contract import Column, Table, check_names, figures_of, figures_query
from retour.export.files import spooled, without_nul
from retour.export.indexes import indexes

ERRORS = (pymysql.Error,)
ROLE = "bi_readonly"
NEW, OLD = "__retour_new_", "__retour_old_"
LONGEST_NAME = 64
LOCK_SECONDS = 30
# bytes of a row's VARCHARs, and of an index; longer texts become TEXT, a longer key no key
ROW_BYTES, INDEX_BYTES, BYTES_PER_CHARACTER = 60_000, 3072, 4
LENGTHS = (32, 64, 128, 255)
BATCH = 1000
# equal only if they are the same, trailing blanks included: best first
COLLATIONS = ("utf8mb4_0900_bin", "utf8mb4_nopad_bin", "utf8mb4_bin")
TYPES = {"DOUBLE": "double", "FLOAT": "float", "BOOLEAN": "tinyint(1)", "TIMESTAMP": "datetime(6)"}


def write(job: Job) -> None:
    """Export to MySQL or MariaDB."""
    check_names(job.tables, LONGEST_NAME, "MySQL")
    names = [table.name for table in job.tables]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise RetourError(
            f"There is one table {doubled[0]} in marts and one in reports: export one."
        )
    connection = connect(job.target)
    try:
        load(job, connection)
    except pymysql.Error as error:
        code = error.args[0] if error.args else None
        if code == ER.LOCK_WAIT_TIMEOUT:
            raise RetourError(
                f"A table is in use by another session for more than {LOCK_SECONDS} s; the live"
                " tables are as they were. Try again later."
            ) from None
        if code in (ER.DBACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR):
            raise RetourError(
                f"The database does not allow this user to do that: {error.args[-1]}. The user"
                " needs SELECT, INSERT, CREATE, ALTER, DROP and INDEX on the database."
            ) from None
        raise
    finally:
        if connection.open:
            connection.close()


def connect(address: str) -> pymysql.Connection:
    """A connection to mysql://user:password@host:port/database?ssl_ca=…&unix_socket=…

    Password and user may also come from MYSQL_PWD or ~/.my.cnf.
    """
    parts = urllib.parse.urlsplit(address)
    database = urllib.parse.unquote(parts.path.lstrip("/"))
    if parts.scheme not in ("mysql", "mariadb") or not database:
        raise RetourError("An address of MySQL or MariaDB is mysql://user@host:port/database.")
    query = dict(urllib.parse.parse_qsl(parts.query))
    options: dict[str, Any] = {
        "host": parts.hostname,
        "port": parts.port or 3306,
        "user": urllib.parse.unquote(parts.username) if parts.username else None,
        # bytes: a str would be sent as latin-1
        "password": (
            urllib.parse.unquote(parts.password or "") or os.environ.get("MYSQL_PWD", "")
        ).encode()
        or None,
        "unix_socket": query.pop("unix_socket", None),
    }
    if "ssl_ca" in query:
        options["ssl"] = ssl.create_default_context(cafile=query.pop("ssl_ca"))
    elif query.pop("ssl", "") in ("true", "1"):
        options["ssl"] = ssl.create_default_context()
    if query:
        raise RetourError(f"The address has options nobody knows: {', '.join(sorted(query))}.")
    options = {name: value for name, value in options.items() if value is not None}
    if (defaults := Path.home() / ".my.cnf").is_file():
        options["read_default_file"] = str(defaults)
    try:
        return pymysql.connect(
            database=database,
            charset="utf8mb4",
            connect_timeout=15,
            local_infile=True,
            autocommit=True,
            **options,
        )
    except pymysql.Error as error:
        raise RetourError(f"The database cannot be reached: {error.args[-1]}") from None


def load(job: Job, connection: pymysql.Connection) -> None:
    """Load everything, verify it, put it in place."""
    cursor = connection.cursor()
    cursor.execute("set session sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'")
    cursor.execute(f"set session lock_wait_timeout = {LOCK_SECONDS}")
    cursor.execute("select get_lock(concat('retour export ', md5(database())), 0)")
    if value(cursor) != 1:
        raise RetourError("Another export into this database is running: try again later.")
    drop(cursor, leftovers(cursor))
    collation = best_collation(cursor)
    cursor.execute("select @@global.local_infile")
    # LOAD DATA is about five times as fast, where the server allows it
    has_infile = value(cursor) == 1
    if not has_infile:
        job.say("the server does not allow LOAD DATA LOCAL (local_infile): this takes longer")
    indexed = indexes(job.tables)
    for number, table in enumerate(job.tables):
        new = f"{NEW}{number}"
        expected = job.source.figures(table)
        with job.exporting(table, expected) as arrived:
            types = column_types(job, table, indexed[table.qualified])
            cursor.execute(definition(table, new, types, collation))
            (load_file if has_infile else insert_rows)(job, connection, table, new)
            add_indexes(cursor, new, indexed[table.qualified], types)
            cursor.execute(figures_query(table.columns, quoted(new), quote="`"))
            arrived(figures_of(table.columns, cursor.fetchone() or ()))
    put_in_place(cursor, job.tables)
    drop(cursor, leftovers(cursor))
    grant(job, cursor)


def definition(table: Table, name: str, types: dict[str, str], collation: str) -> str:
    """CREATE TABLE with key and descriptions."""
    lines = [
        f"{quoted(column.name)} {types[column.name]}{' not null' if column.is_required else ''}"
        + (f" comment {text(column.description[:1000])}" if column.description else "")
        for column in table.columns
    ]
    if table.key and key_bytes(table.key, types) <= INDEX_BYTES:
        lines.append(f"primary key ({', '.join(map(quoted, table.key))})")
    comment = f" comment {text(table.description[:2000])}" if table.description else ""
    return (
        f"create table {quoted(name)} ({', '.join(lines)}) engine = InnoDB row_format = dynamic"
        f" character set utf8mb4 collate {collation}{comment}"
    )


def column_types(job: Job, table: Table, secondary: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """The type of each column; texts are as long as the data need, in steps."""
    texts = [column for column in table.columns if column.is_text]
    lengths = {}
    if texts:
        longest = ", ".join(f"max(length({column.quoted}))" for column in texts)
        found = job.source.connection.execute(
            f"select {longest} from {job.source.relation(table)}"
        ).fetchall()[0]
        lengths = {column.name: length or 0 for column, length in zip(texts, found, strict=True)}
    indexed = {name for names in (table.key, *secondary) for name in names}
    types, left = {}, ROW_BYTES
    # what has to be found by its value is VARCHAR first, then the others as long as the row holds
    for column in sorted(table.columns, key=lambda column: column.name not in indexed):
        if not column.is_text:
            types[column.name] = kind(column)
            continue
        length = next((step for step in LENGTHS if lengths[column.name] <= step), None)
        if length and left >= length * BYTES_PER_CHARACTER:
            types[column.name] = f"varchar({length})"
            left -= length * BYTES_PER_CHARACTER
        else:
            is_short = lengths[column.name] * BYTES_PER_CHARACTER <= 65_535
            types[column.name] = "text" if is_short else "longtext"
    return types


def key_bytes(names: Sequence[str], types: dict[str, str]) -> int:
    """How long the entries of an index can be; texts of any length do not fit."""
    total = 0
    for name in names:
        if types[name].endswith("text"):
            return INDEX_BYTES + 1
        length = re.fullmatch(r"varchar\((\d+)\)", types[name])
        total += int(length[1]) * BYTES_PER_CHARACTER if length else 16
    return total


def load_file(job: Job, connection: pymysql.Connection, table: Table, name: str) -> None:
    """Load a table by LOAD DATA LOCAL, where every doubt is an error."""
    file = spooled(job, table, [loaded(column) for column in table.columns])
    with connection.cursor() as cursor:
        cursor.execute(
            f"load data local infile {text(str(file))} into table {quoted(name)}"
            " character set utf8mb4 fields terminated by ',' optionally enclosed by '\"'"
            " escaped by '' lines terminated by '\n'"
        )
        # LOCAL turns errors into warnings and goes on
        cursor.execute("show warnings")
        if warning := cursor.fetchone():
            raise RetourError(f"{table.qualified} cannot be loaded: {warning[-1]}")


def insert_rows(job: Job, connection: pymysql.Connection, table: Table, name: str) -> None:
    """Load a table by INSERT."""
    rows = job.source.connection.execute(
        f"select {', '.join(loaded(column) for column in table.columns)}"
        f" from {job.source.relation(table)}"
    )
    insert = f"insert into {quoted(name).replace('%', '%%')} values"
    marks = ", ".join(["%s"] * len(table.columns))
    with connection.cursor() as cursor:
        cursor.execute("begin")
        while batch := rows.fetchmany(BATCH):
            cursor.executemany(f"{insert} ({marks})", batch)
        cursor.execute("commit")


def loaded(column: Column) -> str:
    """A column as MySQL can read it: it knows no true, no NUL in text, no NaN and no infinity."""
    if column.is_text:
        return f"{without_nul(column)} as {column.quoted}"
    if column.type == "BOOLEAN":
        return f"cast({column.quoted} as tinyint) as {column.quoted}"
    if column.type in ("DOUBLE", "FLOAT"):
        return f"case when isfinite({column.quoted}) then {column.quoted} end as {column.quoted}"
    return column.quoted


def add_indexes(
    cursor: Any, name: str, secondary: Sequence[tuple[str, ...]], types: dict[str, str]
) -> None:
    """Add the indexes that fit."""
    fitting = [index for index in secondary if key_bytes(index, types) <= INDEX_BYTES]
    if fitting:
        added = ", ".join(f"add index ({', '.join(map(quoted, index))})" for index in fitting)
        cursor.execute(f"alter table {quoted(name)} {added}")


def put_in_place(cursor: Any, tables: Sequence[Table]) -> None:
    """The step that readers see: all new tables take the names of the live ones at once."""
    cursor.execute("show full tables")
    there = dict(cursor.fetchall())
    renames = []
    for number, table in enumerate(tables):
        if there.get(table.name) == "VIEW":
            raise RetourError(f"{table.name} is a view in this database: it would be replaced.")
        if table.name in there:
            renames.append(f"{quoted(table.name)} to {quoted(f'{OLD}{number}')}")
        renames.append(f"{quoted(f'{NEW}{number}')} to {quoted(table.name)}")
    cursor.execute(f"rename table {', '.join(renames)}")


def leftovers(cursor: Any) -> list[str]:
    """Tables of exports that were cut off, and those that were replaced."""
    cursor.execute(
        "select table_name from information_schema.tables where table_schema = database()"
        f" and left(table_name, {len(NEW)}) in ('{NEW}', '{OLD}') order by table_name"
    )
    return [name for (name,) in cursor.fetchall()]


def drop(cursor: Any, names: Sequence[str]) -> None:
    """Drop tables."""
    for name in names:
        cursor.execute(f"drop table {quoted(name)}")


def best_collation(cursor: Any) -> str:
    """The collation of the server under which different texts are different."""
    cursor.execute("show collation where charset = 'utf8mb4'")
    there = {row[0] for row in cursor.fetchall()}
    return next(name for name in COLLATIONS if name in there)


def grant(job: Job, cursor: Any) -> None:
    """Let the role of BI tools read; say so if this user may not."""
    try:
        cursor.execute(f"create role if not exists {ROLE}")
        for table in job.tables:
            cursor.execute(f"grant select on {quoted(table.name)} to {ROLE}")
    except pymysql.Error:
        job.say(
            f"this user may not create the role {ROLE} or grant to it: ask for `create role {ROLE}`"
            " and `grant select` on the tables"
        )


def kind(column: Column) -> str:
    """The type in MySQL of a column that is no text."""
    name, bracket, rest = column.type.partition("(")
    return TYPES.get(name, name.lower()) + bracket + rest


def value(cursor: Any) -> Any:
    """The only value of a result."""
    row = cursor.fetchone()
    return row[0] if row else None


def quoted(name: str) -> str:
    """A name."""
    return "`" + name.replace("`", "``") + "`"


def text(content: str) -> str:
    """A string, where backslashes are no escapes (NO_BACKSLASH_ESCAPES)."""
    return "'" + content.replace("\0", "\ufffd").replace("'", "''") + "'"
