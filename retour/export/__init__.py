"""Export: the published marts to where other tools read, whole and verified, or not at all.

What is exported is what the published file says of itself: its tables, columns, types, keys and
descriptions; there is no list of names. Each kind of target is a module with a function `write`,
which writes beside what is live, compares rows and sums with the published file, and swaps only
then. What became of each table is remembered in the ops folder; the next build lands it as
marts.exports.
"""

import datetime as dt
import importlib
import os
import re
import shutil
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from retour.errors import RetourError
from retour.export.contract import Figures, Source, Table
from retour.publish import alone, fsync_folder, literal
from retour.settings import did_you_mean

ENVIRONMENT = "RETOUR_EXPORT_TO"
FOLDER = "exports"
# format: its module, the extra that it needs, and the package that shows whether that is installed
FORMATS = {
    "parquet": ("files", None, None),
    "csv": ("files", None, None),
    "xlsx": ("excel", "excel", "xlsxwriter"),
    "hyper": ("hyper", "tableau", "tableauhyperapi"),
    "postgres": ("postgres", "postgres", "psycopg"),
    "mysql": ("mysql", "mysql", "pymysql"),
}
DATABASES = ("postgres", "mysql")
# libpq takes `host=… dbname=…` as well
ADDRESS = {"postgres": re.compile(r"postgres(ql)?://|.*="), "mysql": re.compile(r"[\w+]+://")}
ALWAYS = "publication"


@dataclass
class Exported:
    """One table as it arrived: what was counted and summed there, and the seconds it took."""

    table: Table
    figures: Figures
    seconds: float


@dataclass
class Job:
    """What a writer is asked to do, and what it has done so far."""

    to: str
    target: str
    source: Source
    tables: list[Table]
    # a folder of its own for what is in between; removed afterwards
    spool: Path
    # whether texts that a spreadsheet would take for formulas are made harmless
    escape: bool
    say: Callable[[str], None]
    done: list[Exported] = field(default_factory=list)

    @contextmanager
    def exporting(self, table: Table, expected: Figures) -> Iterator[Callable[[Figures], None]]:
        """Time the export of a table; the block calls what it gets with the target's figures.

        Raises RetourError if these are not those of the published file.
        """
        started = time.monotonic()
        arrived: list[Figures] = []
        yield arrived.append
        for found in arrived:
            if difference := expected.difference(found):
                raise RetourError(f"{table.qualified} did not arrive as it is: {difference}")
            self.done.append(Exported(table, found, time.monotonic() - started))
            self.say(f"{table.qualified}: {found.rows:,} rows")


@dataclass(frozen=True)
class Outcome:
    """What was exported, and where to: a folder, or an address without its password."""

    target: str
    tables: int
    rows: int


def export(
    *,
    to: str,
    published: Path,
    ops: Path,
    target: str | None = None,
    tables: list[str] | None = None,
    escape: bool = True,
    say: Callable[[str], None] = lambda message: None,
) -> Outcome:
    """Export tables of a published file, all of them by default; all or nothing.

    to: one of FORMATS. target: a folder, or of databases an address. ops: folder for the outcome.

    Raises RetourError, without any password in it, if something could not be exported: then
    what was at the target is as it was.
    """
    module, extra, package = FORMATS[to]
    need(to, extra, package)
    if target is not None and not target.strip():
        raise RetourError("--target is empty: name a folder or a database, or leave it out.")
    address = target or (os.environ.get(ENVIRONMENT) if to in DATABASES else None)
    if to in DATABASES and not address:
        raise RetourError(
            f"Where to? Set {ENVIRONMENT} to an address like"
            f" {to}ql://user@host/database, or use --target.".replace("mysqlql", "mysql")
        )
    if to in DATABASES and not ADDRESS[to].match(address):
        raise RetourError(
            f"The target of {to} is no address of a database: write it as"
            f" {'postgresql' if to == 'postgres' else to}://user@host/database."
        )
    place = address or str(published.resolve().parent.parent / "exports" / to)
    secrets = secrets_of(place) if to in DATABASES else []
    shown = without_password(place) if to in DATABASES else str(Path(place).absolute())
    with Source(published) as source:
        chosen = choose(source.tables, tables)
        folder = ops / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        started_at, problem = dt.datetime.now(dt.UTC), None
        with alone(folder, say), spool_in(folder) as spool:
            job = Job(to, place, source, chosen, spool, escape, say)
            try:
                writer = importlib.import_module(f"retour.export.{module}")
                writer.write(job)
            except RetourError as error:
                problem = scrubbed(str(error), secrets)
                raise RetourError(problem) from None
            except Exception as error:
                if not isinstance(error, (duckdb.Error, OSError, *writer.ERRORS)):
                    raise
                problem = scrubbed(f"{type(error).__name__}: {error}", secrets)
                raise RetourError(
                    f"The export to {shown} failed; what was there is as it was. {problem}"
                ) from None
            except KeyboardInterrupt:
                problem = "interrupted"
                raise
            finally:
                remember(folder, job, shown, started_at, problem)
    return Outcome(shown, len(job.done), sum(table.figures.rows for table in job.done))


def need(to: str, extra: str | None, package: str | None) -> None:
    """Raise RetourError if the extra that a format needs is not installed."""
    if package is None:
        return
    try:
        importlib.import_module(package)
    except ImportError:
        raise RetourError(
            f"Exporting to {to} needs {package}, which is not installed: pip install"
            f" 'retour[{extra}]'. parquet and csv need nothing."
        ) from None


def choose(tables: list[Table], names: list[str] | None) -> list[Table]:
    """The tables of these names (`order_lines` or `marts.order_lines`); all if there are none.

    publication always comes along: it says which build the others are of.
    """
    if not names:
        return tables
    known = {table.name: table for table in tables} | {table.qualified: table for table in tables}
    if unknown := [name for name in names if name not in known]:
        short = [table.name for table in tables]
        raise RetourError(
            "\n".join(f"There is no table '{name}'.{did_you_mean(name, short)}" for name in unknown)
        )
    wanted = {known[name].qualified for name in names} | {f"marts.{ALWAYS}"}
    return [table for table in tables if table.qualified in wanted]


# secrets


def secrets_of(address: str) -> list[str]:
    """Every spelling of a password that an error about this address could repeat."""
    found = {os.environ.get("PGPASSWORD"), os.environ.get("MYSQL_PWD")}
    # by hand, not by urlsplit, which refuses some addresses that a message must not show either
    if match := re.match(r"[^:/]*://[^:/@]*:(.*)@", address, re.DOTALL):
        found |= {match[1], urllib.parse.unquote(match[1])}
    query = urllib.parse.parse_qs(address.partition("?")[2])
    found |= {value for key in ("password", "passwd") for value in query.get(key, [])}
    found |= set(re.findall(r"password\s*=\s*'?([^'\s&]+)", address))
    return sorted((secret for secret in found if secret), key=len, reverse=True)


def scrubbed(text: str, secrets: list[str]) -> str:
    """A message without passwords and without the address that holds one."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
    return re.sub(r"(password\s*=\s*)'?[^'\s&]+'?", r"\1***", text, flags=re.IGNORECASE)


def without_password(address: str) -> str:
    """An address as it may be shown and stored: scheme, user, host, port and database."""
    match = re.match(
        r"(?P<scheme>[a-z0-9+]+)://(?:(?P<user>[^:/@]*)(?::.*)?@)?(?P<rest>[^?@]*)",
        address,
        re.DOTALL,
    )
    if not match:
        return "the database"
    user = f"{match['user']}@" if match["user"] else ""
    return f"{match['scheme']}://{user}{match['rest']}"


# what is remembered


@contextmanager
def spool_in(folder: Path) -> Iterator[Path]:
    """A folder for files in between; that of an export that was killed is removed first."""
    spool = folder / ".spool"
    shutil.rmtree(spool, ignore_errors=True)
    spool.mkdir(mode=0o700)
    try:
        yield spool
    finally:
        shutil.rmtree(spool, ignore_errors=True)


def remember(
    folder: Path, job: Job, shown: str, started_at: dt.datetime, problem: str | None
) -> None:
    """Write a row per table, complete or not at all."""
    export_id = uuid.uuid4().hex
    done = {exported.table.qualified: exported for exported in job.done}
    rows: list[tuple[Any, ...]] = []
    for table in job.tables:
        exported = done.get(table.qualified)
        figures = exported.figures if exported and not problem else None
        rows.append(
            (
                *(export_id, table.schema, table.name, job.to, shown, job.source.build_id),
                "exported" if figures else "failed",
                figures.rows if figures else None,
                figures.checksum if figures else None,
                None if figures else (problem or "not reached"),
                exported.seconds if exported else None,
                started_at.strftime("%Y-%m-%d %H:%M:%S"),
            )
        )
    temporary = folder / f".{export_id}.writing"
    with duckdb.connect() as connection:
        connection.execute(
            "create table outcome (export_id varchar, schema_name varchar, table_name varchar,"
            " format varchar, target varchar, build_id varchar, status varchar,"
            " table_rows bigint, checksum varchar, message varchar, seconds double,"
            " started_at varchar)"
        )
        connection.executemany(f"insert into outcome values ({', '.join('?' * 12)})", rows)
        connection.execute(f"copy outcome to {literal(temporary)} (format parquet)")
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(folder / f"{export_id}.parquet")
    fsync_folder(folder)
