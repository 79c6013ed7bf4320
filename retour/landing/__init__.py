"""Landing: raw files become raw tables, as text, before any model runs.

This module is a dbt-duckdb plugin (see profiles.yml): every dbt command that opens the warehouse
lands what is new first. `land` does the same from plain Python.

The raw tables are a function of the raw folder and the landing config: new and changed files are
read, files that are gone are removed, and where nothing changed nothing is written. Everything is
read into scratch tables first; one transaction at the end moves them into place, so any error
before it leaves the raw tables as they were.

config: which files feed which table · folder: what stands in the raw folder · reading,
csv_files, parquet_files: one file as a SELECT of text · tables: schema raw.
"""

import contextlib
import datetime as dt
import gc
import hashlib
import importlib
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from retour.landing.config import Table, load_configs
from retour.landing.csv_files import CsvFile
from retour.landing.folder import Found, LoadFile, RawFolder, stamp
from retour.landing.parquet_files import read_parquet
from retour.landing.reading import FileError, RawFile, Reading, cannot_be_read, plain_errors, text
from retour.landing.tables import OPS_TABLES, Changes, RawTables
from retour.settings import DEFAULT_WAREHOUSE, DEMO, LandingError, check_vars, listing, resolve

try:
    from dbt.adapters.duckdb.plugins import BasePlugin
except ImportError:  # `land` works without dbt
    BasePlugin = object

# files of this size together take long enough that a person wants to see what is going on
WORTH_A_LINE_BYTES = 20_000_000


class Plugin(BasePlugin):
    """Lands raw files whenever dbt opens the warehouse."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Keep what profiles.yml passed: raw, sources, warehouse."""
        self.config = plugin_config

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Before the warehouse is opened: check the vars, make its folder."""
        from dbt.flags import get_flags

        check_vars(getattr(get_flags(), "VARS", None) or {})
        warehouse = Path(creds.path).absolute()
        warehouse.parent.mkdir(parents=True, exist_ok=True)
        replay_log(warehouse)

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Land what is new; an error ends the command with its sentence."""
        from dbt.flags import get_flags

        # documentation tells of what was built, whatever the sources and the raw folder were
        if getattr(get_flags(), "WHICH", None) == "generate":
            return
        project_dir = Path(getattr(get_flags(), "PROJECT_DIR", None) or ".").absolute()
        raw_dir, sources = resolve(self.config.get("raw"), self.config.get("sources"), project_dir)
        warehouse = self.config.get("warehouse") or DEFAULT_WAREHOUSE
        ops_dir = (project_dir / warehouse).parent / "ops"
        try:
            land(conn, raw_dir=raw_dir, sources=sources, project_dir=project_dir, ops_dir=ops_dir)
        except (duckdb.Error, OSError) as error:
            # dbt would print these with a traceback
            raise LandingError(f"Landing failed and changed nothing: {error}") from error
        # The project that dbt has read stays until the command ends: some hundred thousand objects,
        # which Python's collector would look through again and again for nothing.
        gc.freeze()


def replay_log(warehouse: Path) -> None:
    """Bring the log that a killed run left into the warehouse.

    DuckDB does so by itself when it opens a file, but as the first database of a connection it
    fails where the log describes a column of a table with CHECKs ("no default database set"); as an
    attached one it does not. What else is wrong with the file is said when dbt opens it.
    """
    if not warehouse.with_name(f"{warehouse.name}.wal").is_file():
        return
    with contextlib.suppress(duckdb.Error), duckdb.connect() as connection:
        connection.execute(f"attach {text(str(warehouse))} as warehouse; checkpoint warehouse")


def land(
    conn: duckdb.DuckDBPyConnection,
    *,
    raw_dir: Path | str,
    sources: list[str],
    project_dir: Path | str,
    ops_dir: Path | str,
    say: Callable[[str], None] | None = None,
) -> list[LoadFile]:
    """Bring schema `raw` of the connected warehouse up to date with the raw folder.

    raw_dir: folder with one folder per source. sources: names of the sources to build.
    project_dir: root of the dbt project, where the landing config is. ops_dir: folder that runs
    leave their results in; made if absent. say: takes progress lines; default: stderr.

    Returns one LoadFile for every file that was landed or judged anew; empty if nothing changed.
    Raises LandingError, with every problem of every file, and changes nothing then.
    """
    say = say or _say
    raw_dir = Path(raw_dir)
    sources = list(dict.fromkeys(sources))
    configs = load_configs(Path(project_dir))
    if DEMO in sources and not (raw_dir / DEMO).is_dir():
        _generate_demo(raw_dir, Path(project_dir), say)
    tables = {table.name: table for config in configs.values() for table in config.tables}
    raw = RawTables(conn, tables)

    before = raw.state()
    known = raw.load_files()
    found = RawFolder(raw_dir, configs).find(sources, _section(before, "file"))
    ops = {name: _ops_files(Path(ops_dir) / name, kind) for name, kind in OPS_TABLES.items()}
    now = {
        **{f"config {table.name}": _config_sha256(table) for table in tables.values()},
        **{f"file {name}": stamp for name, stamp in found.stamps.items()},
        **{name: stamps for name, (_, stamps) in ops.items()},
    }
    columns = raw.columns()
    # a table whose config, code or shape changed is landed from scratch
    stale = {
        name
        for name, table in tables.items()
        if before.get(f"config {name}") != now[f"config {name}"]
        or columns.get(name) != table.column_names
    }
    kept = {entry.identity for entry in known if entry.table_name not in stale}
    kept &= {entry.identity for entry in found.entries}
    changes = Changes(
        new=[entry for entry in found.entries if entry.identity not in kept],
        gone=[entry for entry in known if entry.identity not in kept],
        stale=stale,
        undeclared=_section(before, "config").keys() - tables.keys(),
        ops={name: files for name, (files, stamps) in ops.items() if before.get(name) != stamps},
    )
    if now == before and not changes.any and not found.problems:
        return []

    raw.prepare(changes)
    landed, problems = _read_all(raw, changes.new, found, say)
    if problems:
        raw.drop_scratch()
        headline = f"Landing from {raw_dir} stopped before anything was changed"
        raise LandingError(listing(headline, problems))
    for name, files in changes.ops.items():
        raw.insert_ops(name, files, say)
    raw.commit(landed, changes, now)
    return landed


def _read_all(
    raw: RawTables, new: list[LoadFile], found: Found, say: Callable[[str], None]
) -> tuple[list[LoadFile], list[str]]:
    """Read new files into scratch tables; their rows of load_files, and every problem."""
    landed: list[LoadFile] = []
    problems = list(found.problems)
    to_read = [entry for entry in new if entry.status == "loaded"]
    is_long = sum(entry.file_bytes for entry in to_read) > WORTH_A_LINE_BYTES
    started = time.monotonic()
    landed_at = dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)
    for entry in new:
        row = entry
        if entry.status == "loaded":
            try:
                row = _read_file(raw, found.files[entry.file], entry, say if is_long else _quiet)
            except FileError as error:
                problems += [f"{entry.file}: {problem}" for problem in error.problems]
                continue
        if row.message:
            say(f"{row.file}: {row.message}")
        landed.append(replace(row, landed_at=landed_at))
    if is_long and not problems:
        rows = sum(row.rows_landed for row in landed)
        say(f"landed {len(to_read)} files, {rows:,} rows in {time.monotonic() - started:.1f} s")
    return landed, problems


def _read_file(
    raw: RawTables, file: RawFile, entry: LoadFile, say: Callable[[str], None]
) -> LoadFile:
    """Read one file into the scratch table of its raw table."""
    with plain_errors(), tempfile.TemporaryDirectory(prefix="retour-") as work:
        before = stamp(file.path)
        if not entry.file_bytes:
            raise FileError("the file is empty (0 bytes): deliver it again, or remove it.")
        reading = _reading(raw.conn, file, Path(work))
        rows = reading.rows_expected
        size = f"{entry.file_bytes / 1e6:,.0f} MB" if rows is None else f"{rows:,} rows"
        say(f"landing {file.name}: {size}")
        try:
            rows = raw.insert(file, reading)
        except duckdb.Error as error:
            if reading.line_by_line is None:
                raise FileError(cannot_be_read(error)) from error
            say(f"landing {file.name}: it has broken lines, reading line by line")
            reading = reading.line_by_line()
            try:
                rows = raw.insert(file, reading)
            except duckdb.Error as again:
                raise FileError(cannot_be_read(again)) from again
        if stamp(file.path) != before:
            raise FileError("it changed while it was read: run again when it is complete.")
    if reading.rows_expected not in (None, rows):
        raise FileError(
            f"{rows:,} rows arrived of the {reading.rows_expected:,} that it should have: it is "
            "damaged, deliver it again."
        )
    raw.insert_rejected(file, reading)
    if not rows and not reading.rejected:
        reading.notes.append("no rows")
    return replace(
        entry,
        encoding=reading.encoding,
        rows_read=rows + len(reading.rejected),
        rows_landed=rows,
        rows_rejected=len(reading.rejected),
        message=reading.message(),
    )


def _reading(conn: duckdb.DuckDBPyConnection, file: RawFile, work: Path) -> Reading:
    if file.format == "parquet":
        return read_parquet(conn, file)
    return CsvFile(file, work).read()


def _generate_demo(raw_dir: Path, project_dir: Path, say: Callable[[str], None]) -> None:
    """Make the demo's raw files, which a fresh clone does not have."""
    if raw_dir.name != "raw":
        raise LandingError(
            f"There is no folder {raw_dir / DEMO}, and the demo is generated only into a folder "
            "named raw. Choose other `sources`, or let `raw` be a folder of that name."
        )
    say("generating the demo")
    root = str(project_dir)
    sys.path.insert(0, root)
    try:
        generator = importlib.import_module("data.generate")
        generator.generate(out_dir=raw_dir.parent, source=DEMO)
    except (ImportError, OSError, ValueError, duckdb.Error) as error:
        raise LandingError(
            f"There is no folder {raw_dir / DEMO}, and generating the demo failed: {error}"
        ) from error
    finally:
        sys.path.remove(root)


def _ops_files(folder: Path, kind: str) -> tuple[list[Path], str]:
    """The files that earlier runs or requests left, and a hash of their names, sizes and times."""
    # runs write there, so it has to exist
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(folder.glob(f"*.{kind}"))
    stamps = "\n".join(f"{file.name} {stamp(file)}" for file in files)
    return files, hashlib.sha256(stamps.encode("utf-8", "surrogateescape")).hexdigest()


def _config_sha256(table: Table) -> str:
    """A hash of a table's config and of the code that reads files: a change of either re-lands."""
    digest = hashlib.sha256(table.config_sha256.encode())
    for module in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()


def _section(state: dict[str, str], kind: str) -> dict[str, str]:
    """The part of the remembered state under one kind of name, `config` or `file`."""
    start = f"{kind} "
    return {
        name.removeprefix(start): value for name, value in state.items() if name.startswith(start)
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _quiet(line: str) -> None:
    pass
