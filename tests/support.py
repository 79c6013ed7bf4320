"""What several test files share: paths, and dbt run as a subprocess on a folder of its own.

dbt runs as a subprocess because a process that has driven dbt cannot open the same warehouse
read-only. Nothing that a test builds touches data/ or target/ of the repository.
"""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
ONLINE_RETAIL_FILE = SHARED / "data" / "online_retail_ii_2009_2010.parquet"

# what mart_hashes leaves out
OPERATIONS_MARTS = ("load_files", "run_results")
ROW_ADDRESS = ("file", "row_number")


@dataclass(frozen=True)
class Build:
    """One built warehouse: everything it read and wrote lives under `folder`."""

    folder: Path
    sources: tuple[str, ...] = ("demo",)

    @property
    def raw(self) -> Path:
        return self.folder / "raw"

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        return self.folder / "published" / "retour.duckdb"

    @property
    def target(self) -> Path:
        return self.folder / "target"

    @property
    def manifest(self) -> dict:
        """dbt's manifest of the build, with the compiled SQL of every node."""
        return json.loads((self.target / "manifest.json").read_text())

    @property
    def vars(self) -> dict:
        return {
            "sources": list(self.sources),
            "raw": str(self.raw),
            "warehouse": str(self.warehouse),
        }


def environment() -> dict[str, str]:
    """The process environment without the settings that would change what dbt or DuckDB does."""
    return {key: value for key, value in os.environ.items() if not key.startswith("DBT_")}


def run(command: Sequence[str], **options) -> subprocess.CompletedProcess[str]:
    """Run a command from the repository's root and return its output; the exit code is kept."""
    options = {"cwd": ROOT, "env": environment(), "timeout": 1200} | options
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)


def run_dbt(
    args: Sequence[str],
    vars: dict,
    *,
    target: Path,
    check: bool = True,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `dbt <args>` with these vars; artifacts and logs go to `target`.

    With `check` a failing command fails the test and shows what dbt said. `env` is added to the
    environment.
    """
    result = run(
        [
            *(sys.executable, "-m", "dbt.cli.main", "--no-use-colors"),
            *("--log-level-file", "none"),
            *args,
            *("--vars", json.dumps(vars)),
            *("--target-path", target, "--log-path", target / "logs"),
        ],
        env=environment() | dict(env or {}),
    )
    if check and result.returncode:
        raise AssertionError(f"dbt {' '.join(args)} failed:\n{result.stdout}\n{result.stderr}")
    return result


def build(
    build: Build,
    *args: str,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    **vars,
) -> subprocess.CompletedProcess[str]:
    """`dbt build` of a Build, with further dbt arguments, environment and vars."""
    return run_dbt(["build", *args], build.vars | vars, target=build.target, check=check, env=env)


def write(path: Path, text: str) -> None:
    """Write a raw file and the folders it stands in; the indent of a literal is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")


def query(build: Build, sql: str) -> list[tuple]:
    """The rows of a query on the warehouse of a Build."""
    with duckdb.connect(str(build.warehouse), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def mart_hashes(build: Build, source: str | None = None) -> dict[str, tuple]:
    """Rows and hash of every mart that the rows of the input decide; of one source if given.

    Left out are the operations marts, which tell of files and runs, and everywhere the file and
    row number that a row was read from; of row_reconciliation, which has a row per file, the sums.
    """
    with duckdb.connect(str(build.warehouse), read_only=True) as connection:
        return {
            mart: connection.execute(
                f"select count(*), sum(cast(hash(mart) as hugeint)) from ({select}) as mart"
            ).fetchone()
            for mart, select in _selects(connection, "warehouse", source).items()
        }


def assert_same_marts(found: Build, expected: Build, source: str | None = None) -> None:
    """Every mart has the same hash in both; else fail and show rows that only one of them has."""
    hashes, wanted = mart_hashes(found, source), mart_hashes(expected, source)
    assert hashes.keys() == wanted.keys()
    differing = [mart for mart in hashes if hashes[mart] != wanted[mart]]
    if not differing:
        return
    report = []
    with duckdb.connect() as connection:
        connection.execute(f"attach '{found.warehouse}' as found (read_only)")
        connection.execute(f"attach '{expected.warehouse}' as expected (read_only)")
        sides = [_selects(connection, name, source) for name in ("found", "expected")]
        for mart in differing:
            for name, one, other in (("only found", 0, 1), ("missing", 1, 0)):
                rows = connection.sql(f"{sides[one][mart]} except all {sides[other][mart]} limit 2")
                examples = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
                report += [f"{mart}, {name}: {example}" for example in examples]
    raise AssertionError("\n".join([f"differing marts: {', '.join(differing)}", *report]))


def _selects(
    connection: duckdb.DuckDBPyConnection, database: str, source: str | None
) -> dict[str, str]:
    """A SELECT for each mart, of the columns that are compared."""
    selects = {}
    for mart, columns in connection.execute(
        "select table_name, list(column_name order by column_index) from duckdb_columns() "
        "where database_name = ? and schema_name = 'marts' group by table_name order by table_name",
        [database],
    ).fetchall():
        if mart in OPERATIONS_MARTS:
            continue
        chosen = [column for column in columns if column not in ROW_ADDRESS]
        if mart == "row_reconciliation":
            chosen = [
                column if column in ("source", "as_of_date") else f"sum({column}) as {column}"
                for column in chosen
            ]
        selects[mart] = f"select {', '.join(chosen)} from {database}.marts.{mart}"
        if source and "source" in columns:
            selects[mart] += f" where source = '{source}'"
        if mart == "row_reconciliation":
            selects[mart] += " group by source, as_of_date"
    return selects
