"""Landing: raw files become raw tables, as text, before any model runs.

This module is a dbt-duckdb plugin (see profiles.yml): every dbt command that opens the warehouse
lands what is new first. `land` does the same from plain Python.

The raw tables are a function of the raw folder and the landing config: new and changed files are
read, files that are gone are removed, and where nothing changed nothing is written. New rows go
to scratch tables beside the raw tables; one transaction at the end moves them into place, so any
error before it leaves the raw tables as they were.
"""

import datetime as dt
import hashlib
import importlib
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import duckdb

from retour.landing_config import CANONICAL, DATA_FILE, SourceConfig, Table, load_configs
from retour.raw_files import (
    CsvFile,
    FileProblem,
    RawFile,
    Reading,
    identifier,
    plain_errors,
    read,
    text,
)
from retour.settings import (
    DEFAULT_WAREHOUSE,
    LandingError,
    check_vars,
    did_you_mean,
    listing,
    nearest,
    resolve,
)

DEMO = "demo"
SCRATCH = "__landing"
# files of this size together take long enough that a person wants to see what is going on
WORTH_A_LINE_BYTES = 20_000_000
MODULES = ("landing.py", "landing_config.py", "raw_files.py")

LOG_TABLES = {
    "load_files": (
        "source varchar, table_name varchar, file varchar, file_sha256 varchar, "
        "file_bytes bigint, format varchar, encoding varchar, rows_read bigint, "
        "rows_landed bigint, rows_rejected bigint, status varchar, message varchar, "
        "landed_at timestamp"
    ),
    "rejected_lines": (
        "source varchar, table_name varchar, file varchar, row_number bigint, "
        "reason varchar, original_row varchar"
    ),
    "run_results": (
        "invocation_id varchar, command varchar, node_id varchar, resource_type varchar, "
        "status varchar, execution_seconds double, failures bigint, message varchar, "
        "started_at varchar, dbt_version varchar, adapter_type varchar"
    ),
    # what landing remembers between builds: hashes of configs, and of files by size and times
    "landing_state": "name varchar, value varchar",
}


@dataclass(frozen=True)
class LoadFile:
    """One row of raw.load_files."""

    source: str
    table_name: str | None
    file: str
    file_sha256: str | None
    file_bytes: int
    format: str | None
    encoding: str | None = None
    rows_read: int = 0
    rows_landed: int = 0
    rows_rejected: int = 0
    status: str = "loaded"
    message: str | None = None
    landed_at: dt.datetime | None = None

    @property
    def identity(self) -> tuple[str | None, ...]:
        """What decides whether a file has to be landed again."""
        said = None if self.status == "loaded" else self.message
        return (self.source, self.table_name, self.file, self.file_sha256, self.status, said)


@dataclass
class Found:
    """What stands in the raw folder: files to land, and files that no table takes."""

    files: list[RawFile] = field(default_factory=list)
    ignored: list[LoadFile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


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
    landing = Landing(conn, Path(raw_dir), Path(project_dir), Path(ops_dir), say or _say)
    return landing.run(list(dict.fromkeys(sources)))


class Landing:
    """One landing into one warehouse."""

    def __init__(
        self,
        conn: duckdb.DuckDBPyConnection,
        raw_dir: Path,
        project_dir: Path,
        ops_dir: Path,
        say: Callable[[str], None],
    ) -> None:
        self.conn = conn
        self.raw_dir = raw_dir
        self.project_dir = project_dir
        self.ops_dir = ops_dir
        self.say = say
        database = conn.execute("select current_database()").fetchall()[0][0]
        # qualified, because a warehouse file named raw.duckdb is a catalog named raw
        self.schema = f"{identifier(database)}.raw"
        self.configs = load_configs(project_dir)
        self.tables = {
            table.name: table for config in self.configs.values() for table in config.tables
        }

    def run(self, sources: list[str]) -> list[LoadFile]:
        """Find out what is new and land it."""
        self._generate_demo(sources)
        found = self._find(sources)
        if found.problems:
            raise LandingError(_stopped(found.problems))
        self._create_log_tables()
        state = dict(self._rows("select name, value from {}.landing_state"))
        known = [LoadFile(*row) for row in self._rows("select * from {}.load_files")]

        wanted_state = {f"config {name}": self._config_hash(t) for name, t in self.tables.items()}
        stamps = {}
        wanted: list[LoadFile] = list(found.ignored)
        first_with: dict[tuple[str, str, str], str] = {}
        by_name = {file.name: file for file in found.files}
        for file in found.files:
            try:
                with plain_errors():
                    stamp, sha256 = _hash(file.path, state.get(f"file {file.name}"))
            except FileProblem as error:
                found.problems += [f"{file.name}: {problem}" for problem in error.problems]
                continue
            stamps[f"file {file.name}"] = stamp
            entry = LoadFile(
                file.source,
                file.table.name,
                file.name,
                sha256,
                file.path.stat().st_size,
                file.format,
            )
            first = first_with.setdefault((file.source, file.table.name, sha256), file.name)
            if first != file.name:
                said = f"same content as {first}: not read again"
                entry = replace(entry, status="duplicate", message=said)
            wanted.append(entry)

        if found.problems:
            raise LandingError(_stopped(found.problems))

        # a table whose config, code or shape changed is landed from scratch
        stale = {
            name
            for name, table in self.tables.items()
            if state.get(f"config {name}") != wanted_state[f"config {name}"]
            or self._columns(name) != table.column_names
        }
        kept = {entry.identity for entry in known if entry.table_name not in stale}
        kept &= {entry.identity for entry in wanted}
        new = [entry for entry in wanted if entry.identity not in kept]
        gone = [entry for entry in known if entry.identity not in kept]
        undeclared = [
            name.removeprefix("config ")
            for name in state
            if name.startswith("config ") and name not in wanted_state
        ]
        run_results = self._run_results_on_disk()
        wanted_state = {**wanted_state, **stamps, "run_results": run_results[0]}
        if not (new or gone or stale or undeclared) and state == wanted_state:
            return []

        landed = self._land_new(new, by_name, stale)
        self._commit(landed, gone, stale, undeclared, wanted_state, state, run_results[1])
        return landed

    # --- finding -----------------------------------------------------------------------------

    def _generate_demo(self, sources: list[str]) -> None:
        """Make the demo if it is wanted and absent."""
        if DEMO not in sources or (self.raw_dir / DEMO).is_dir():
            return
        if self.raw_dir.name != "raw":
            raise LandingError(
                f"There is no demo in {self.raw_dir}, and it is generated only into a folder "
                "named raw. Choose other sources (--vars 'sources: [name]'), or point `raw` to "
                "a folder named raw."
            )
        self.say("generating the demo")
        root = str(self.project_dir)
        added = root not in sys.path
        if added:
            sys.path.insert(0, root)
        try:
            generator = importlib.import_module("data.generate")
            generator.generate(out_dir=self.raw_dir.parent, source=DEMO)
        finally:
            if added:
                sys.path.remove(root)

    def _find(self, sources: list[str]) -> Found:
        """Every file of every wanted source, and what is wrong with the folders."""
        found = Found()
        for source in sources:
            folder = self.raw_dir / source
            if not _is_name(source) or not folder.is_dir():
                found.problems.append(self._unknown_source(source))
                continue
            self._find_files(source, folder, found)
        return found

    def _find_files(self, source: str, folder: Path, found: Found) -> None:
        """Sort the files of one source: to a table, or ignored with a reason."""
        config = self.configs.get(source) or self.configs[CANONICAL]
        files, ignored = [], []
        for path in _walk(folder):
            inside = path.relative_to(folder).as_posix()
            name = f"{source}/{inside}"
            table = config.table_for(inside)
            if table:
                files.append(RawFile(source, name, path, table))
            else:
                size = path.stat().st_size
                reason = _why_ignored(inside, config)
                ignored.append(
                    LoadFile(source, None, name, None, size, None, status="ignored", message=reason)
                )
        found.problems += _same_file_in_two_formats(files)
        for table in config.tables:
            if table.required and not any(file.table == table for file in files):
                found.problems.append(self._missing_file(source, table, ignored))
        found.files += sorted(files, key=lambda file: file.name)
        found.ignored += sorted(ignored, key=lambda file: file.file)

    def _unknown_source(self, source: str) -> str:
        folders = []
        if self.raw_dir.is_dir():
            folders = [path.name for path in self.raw_dir.iterdir() if path.is_dir()]
        folders = sorted(name for name in folders if _is_name(name))
        hint = did_you_mean(source, {*folders, *self.configs, DEMO} - {source})
        if not _is_name(source):
            return f"'{source}' cannot be the name of a source: it names a folder in {self.raw_dir}."
        there = f"there are {', '.join(folders)}" if folders else "there is none"
        return (
            f"unknown source '{source}': there is no folder {self.raw_dir / source} ({there})."
            f"{hint} Put its files there, or change `sources`."
        )

    def _missing_file(self, source: str, table: Table, ignored: list[LoadFile]) -> str:
        folder = self.raw_dir / source
        if table.files == "*":
            return f"{table.name}: no .csv, .csv.gz or .parquet file in {folder}."
        stems = {Path(entry.file).name.split(".")[0]: entry.file for entry in ignored}
        similar = nearest(table.files, stems)
        hint = f" Did you mean '{stems[similar]}'? Rename it." if similar else ""
        return (
            f"{table.name}: the required file {folder / table.files}.csv is missing "
            f"(or .csv.gz, .parquet, {table.files}_*.csv, or files in a folder {table.files}/)."
            f"{hint}"
        )

    # --- reading -----------------------------------------------------------------------------

    def _land_new(
        self, new: list[LoadFile], by_name: dict[str, RawFile], stale: set[str]
    ) -> list[LoadFile]:
        """Read new files into scratch tables; returns their rows of load_files."""
        problems: list[str] = []
        landed: list[LoadFile] = []
        now = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None, microsecond=0)
        to_read = [entry for entry in new if entry.status == "loaded"]
        talk = sum(entry.file_bytes for entry in to_read) > WORTH_A_LINE_BYTES
        started = time.monotonic()
        self._drop_scratch()
        if not new and not stale:
            return []
        for name in sorted({entry.table_name for entry in to_read} | stale):
            columns = ", ".join(
                f"{identifier(column)} {'bigint' if column == 'row_number' else 'varchar'}"
                for column in self.tables[name].column_names
            )
            self.conn.execute(f"create table {self._scratch(name)} ({columns})")
        self._create("rejected_lines", SCRATCH)
        order = self._setting("preserve_insertion_order")
        # row numbers are numbers of the file: rows must arrive in its order
        self.conn.execute("set preserve_insertion_order = true")
        try:
            for entry in new:
                if entry.status != "loaded":
                    landed.append(replace(entry, landed_at=now))
                    continue
                try:
                    row = self._land_file(by_name[entry.file], entry, talk)
                    landed.append(replace(row, landed_at=now))
                except FileProblem as error:
                    problems += [f"{entry.file}: {problem}" for problem in error.problems]
        finally:
            self.conn.execute(f"set preserve_insertion_order = {order}")
        if problems:
            self._drop_scratch()
            raise LandingError(_stopped(problems))
        if talk:
            rows = sum(entry.rows_landed for entry in landed)
            seconds = time.monotonic() - started
            self.say(f"landed {len(to_read)} files, {rows:,} rows in {seconds:.1f} s")
        return landed

    def _land_file(self, file: RawFile, entry: LoadFile, talk: bool) -> LoadFile:
        """Read one file into the scratch table of its raw table."""
        with tempfile.TemporaryDirectory(prefix="retour-") as work:
            reading = read(self.conn, file, Path(work))
            if talk:
                rows = reading.rows_expected
                size = f"{file.path.stat().st_size / 1e6:,.0f} MB" if rows is None else f"{rows:,} rows"
                self.say(f"landing {file.name}: {size}")
            rows = self._insert(file, reading, Path(work))
        if reading.rows_expected not in (None, rows):
            raise FileProblem(
                f"{rows:,} rows arrived of the {reading.rows_expected:,} that it says it has: "
                "it is damaged, deliver it again."
            )
        self._insert_rejected(file, reading)
        if not rows and not reading.rejected and "no rows" not in reading.notes:
            reading.notes.append("no rows")
        return replace(
            entry,
            encoding=reading.encoding,
            rows_read=rows + len(reading.rejected),
            rows_landed=rows,
            rows_rejected=len(reading.rejected),
            message=reading.message(),
        )

    def _insert(self, file: RawFile, reading: Reading, work: Path) -> int:
        """Run the SELECT of a file; a CSV that is refused is read line by line, then again."""
        target = self._scratch(file.table.name)
        try:
            return self._count(f"insert into {target} {reading.select(file)}")
        except duckdb.Error as error:
            if file.format == "parquet" or reading.rejected:
                raise FileProblem(_says(error)) from error
        with plain_errors():
            csv_file = CsvFile(file, work)
            csv_file.read()
            again = csv_file.read_line_by_line()
        reading.__dict__.update(again.__dict__)
        try:
            return self._count(f"insert into {target} {reading.select(file)}")
        except duckdb.Error as error:
            raise FileProblem(_says(error)) from error

    def _insert_rejected(self, file: RawFile, reading: Reading) -> None:
        rejected = reading.rejected
        for start in range(0, len(rejected), 10_000):
            part = rejected[start : start + 10_000]
            self.conn.execute(
                f"insert into {self._scratch('rejected_lines')} "
                f"select {text(file.source)}, {text(file.table.name)}, {text(file.name)}, "
                "unnest(?), unnest(?), unnest(?)",
                [
                    [line.row_number for line in part],
                    [line.reason for line in part],
                    [line.original_row for line in part],
                ],
            )

    # --- writing -----------------------------------------------------------------------------

    def _commit(
        self,
        landed: list[LoadFile],
        gone: list[LoadFile],
        stale: set[str],
        undeclared: list[str],
        state: dict[str, str],
        old_state: dict[str, str],
        run_results: list[Path],
    ) -> None:
        """Move everything into place in one transaction."""
        execute = self.conn.execute
        scratch = self._scratch_tables()
        execute("begin transaction")
        try:
            for name in undeclared:
                execute(f"drop table if exists {self._table(name)}")
            for entry in gone:
                names = ["load_files", "rejected_lines"]
                if entry.table_name and entry.table_name not in {*stale, *undeclared}:
                    names.append(entry.table_name)
                for name in names:
                    execute(
                        f"delete from {self._table(name)} where source = ? and file = ?",
                        [entry.source, entry.file],
                    )
            for name in sorted(scratch & self.tables.keys()):
                if name in stale or not self._has_rows(name):
                    execute(f"drop table if exists {self._table(name)}")
                    execute(f"alter table {self._scratch(name)} rename to {identifier(name)}")
                else:
                    execute(f"insert into {self._table(name)} from {self._scratch(name)}")
            if "rejected_lines" in scratch:
                execute(
                    f"insert into {self._table('rejected_lines')} "
                    f"from {self._scratch('rejected_lines')}"
                )
            marks = ", ".join("?" for _ in fields(LoadFile))
            for entry in landed:
                execute(
                    f"insert into {self._table('load_files')} values ({marks})",
                    list(astuple(entry)),
                )
            if state["run_results"] != old_state.get("run_results"):
                self._land_run_results(run_results)
            execute(f"delete from {self._table('landing_state')}")
            names, values = list(state), list(state.values())
            execute(
                f"insert into {self._table('landing_state')} select unnest(?), unnest(?)",
                [names, values],
            )
            for name in self._scratch_tables():
                execute(f"drop table {self._scratch(name)}")
            execute("commit")
        except BaseException:
            execute("rollback")
            self._drop_scratch()
            raise

    def _run_results_on_disk(self) -> tuple[str, list[Path]]:
        """A hash of the names, sizes and times of the files that earlier runs left, and the files."""
        folder = self.ops_dir / "run_results"
        folder.mkdir(parents=True, exist_ok=True)
        files = sorted(folder.glob("*.parquet"))
        digest = hashlib.sha256()
        for file in files:
            digest.update(f"{file.name} {_stamp(file)}\n".encode())
        return digest.hexdigest(), files

    def _land_run_results(self, files: list[Path]) -> None:
        """Replace raw.run_results; a file that cannot be read is left out and named."""
        columns = [column.split() for column in LOG_TABLES["run_results"].split(", ")]
        target = self._table("run_results")
        self.conn.execute(f"delete from {target}")
        for path in files:
            # a second connection: an error there does not end this transaction
            with self.conn.cursor() as reader:
                scan = f"read_parquet({text(str(path))}, hive_partitioning = false)"
                try:
                    there = {row[0] for row in reader.execute(f"describe from {scan}").fetchall()}
                    values = ", ".join(
                        f"cast({identifier(name)} as {kind})" if name in there else "null"
                        for name, kind in columns
                    )
                    rows = reader.execute(f"select {values} from {scan}").fetchall()
                except duckdb.Error as error:
                    self.say(f"left out {path}: {str(error).splitlines()[0]}")
                    continue
            lists = [list(values) for values in zip(*rows, strict=True)] if rows else []
            if lists:
                unnested = ", ".join(
                    f"unnest(cast(? as {kind}[]))" for _, kind in columns
                )
                self.conn.execute(f"insert into {target} select {unnested}", lists)

    # --- small helpers -----------------------------------------------------------------------

    def _config_hash(self, table: Table) -> str:
        return hashlib.sha256((_code_sha256() + table.config_sha256).encode()).hexdigest()

    def _table(self, name: str) -> str:
        return f"{self.schema}.{identifier(name)}"

    def _scratch(self, name: str) -> str:
        return self._table(name + SCRATCH)

    def _rows(self, sql: str) -> list[tuple]:
        return self.conn.execute(sql.format(self.schema)).fetchall()

    def _count(self, sql: str) -> int:
        return self.conn.execute(sql).fetchall()[0][0]

    def _has_rows(self, name: str) -> bool:
        return bool(self._rows(f"select 1 from {self._table(name)} limit 1"))

    def _setting(self, name: str) -> str:
        return str(self._rows(f"select current_setting('{name}')")[0][0]).lower()

    def _columns(self, name: str) -> list[str]:
        """The columns of a raw table, in order; none if it does not exist."""
        rows = self.conn.execute(
            "select column_name from duckdb_columns() where database_name = current_database() "
            "and schema_name = 'raw' and table_name = ? order by column_index",
            [name],
        ).fetchall()
        return [name for (name,) in rows]

    def _scratch_tables(self) -> set[str]:
        rows = self.conn.execute(
            "select table_name from duckdb_tables() where database_name = current_database() "
            "and schema_name = 'raw' and ends_with(table_name, ?)",
            [SCRATCH],
        ).fetchall()
        return {name.removesuffix(SCRATCH) for (name,) in rows}

    def _drop_scratch(self) -> None:
        """Remove scratch tables, also those of a landing that was killed."""
        for name in self._scratch_tables():
            self.conn.execute(f"drop table {self._scratch(name)}")

    def _create(self, name: str, suffix: str = "") -> None:
        table = self._table(name + suffix)
        self.conn.execute(f"create table if not exists {table} ({LOG_TABLES[name]})")

    def _create_log_tables(self) -> None:
        self.conn.execute(f"create schema if not exists {self.schema}")
        for name in LOG_TABLES:
            self._create(name)


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, links followed, without hidden ones and those named _something."""
    seen = set()
    for where, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        if real in seen:
            # a link back to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if _is_visible(name))
        for name in sorted(files):
            if _is_visible(name):
                yield Path(where) / name


def _is_visible(name: str) -> bool:
    return not name.startswith((".", "_"))


def _is_name(source: str) -> bool:
    """Whether a source's name is the name of one visible folder."""
    return _is_visible(source) and Path(source).name == source


def _why_ignored(inside: str, config: SourceConfig) -> str:
    """The message for a file that no table takes."""
    match = DATA_FILE.fullmatch(inside)
    if not match:
        return "ignored: not a .csv, .csv.gz or .parquet file"
    stems = {table.files for table in config.tables}
    stem = match["stem"].split("/")[0]
    known = ", ".join(sorted(stems))
    return f"ignored: no table takes it.{did_you_mean(stem, stems)} Known names: {known}"


def _same_file_in_two_formats(files: list[RawFile]) -> list[str]:
    """One problem for each name that stands there in several formats: it would count twice."""
    formats = defaultdict(list)
    for file in files:
        formats[file.name[: -len(file.format) - 1]].append(file.name)
    return [
        f"{' and '.join(sorted(names))} are the same table in two formats: remove one of them."
        for names in formats.values()
        if len(names) > 1
    ]


def _hash(path: Path, remembered: str | None) -> tuple[str, str]:
    """What to remember about a file, and its SHA-256; read only if size or times changed."""
    stamp = _stamp(path)
    if remembered and remembered.startswith(f"{stamp} "):
        return remembered, remembered.split(" ")[-1]
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return f"{stamp} {digest.hexdigest()}", digest.hexdigest()


def _stamp(path: Path) -> str:
    """Size and times: the change time moves whenever a file is written and cannot be set back."""
    stat = path.stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}"


def _code_sha256() -> str:
    """A hash of the code that reads files, so that a change of it lands everything again."""
    digest = hashlib.sha256()
    for module in MODULES:
        digest.update((Path(__file__).parent / module).read_bytes())
    return digest.hexdigest()


def _says(error: duckdb.Error) -> str:
    return f"it cannot be read. DuckDB says: {str(error).strip().splitlines()[0]}"


def _stopped(problems: list[str]) -> str:
    return listing("Landing stopped before anything was changed", problems)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# --- dbt-duckdb plugin -------------------------------------------------------------------------

try:
    from dbt.adapters.duckdb.plugins import BasePlugin
except ImportError:  # `land` works without dbt
    BasePlugin = object


class Plugin(BasePlugin):
    """Lands raw files whenever dbt opens the warehouse."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Keep what profiles.yml passed: raw, sources, warehouse."""
        self.config = plugin_config

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Before the warehouse is opened: check the vars, make its folder."""
        from dbt.flags import get_flags

        check_vars(getattr(get_flags(), "VARS", None) or {})
        Path(creds.path).absolute().parent.mkdir(parents=True, exist_ok=True)

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Land what is new; an error ends the command with its sentence."""
        from dbt.flags import get_flags

        project_dir = Path(getattr(get_flags(), "PROJECT_DIR", None) or ".").absolute()
        raw_dir, sources = resolve(
            self.config.get("raw"), self.config.get("sources"), project_dir
        )
        warehouse = self.config.get("warehouse") or DEFAULT_WAREHOUSE
        land(
            conn,
            raw_dir=raw_dir,
            sources=sources,
            project_dir=project_dir,
            ops_dir=(project_dir / warehouse).parent / "ops",
        )
