"""What several test files share: paths, and dbt run as a subprocess on a folder of its own.

dbt runs as a subprocess because a process that has driven dbt cannot open the same warehouse
read-only. Nothing that a test builds touches data/ or target/ of the repository.
"""

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
ONLINE_RETAIL_FILE = SHARED / "data" / "online_retail_ii_2009_2010.parquet"

# dbt arguments of a build of a selection: unit tests bring rows of their own, the demo ran them
WITHOUT_UNIT_TESTS = ("--exclude-resource-type", "unit_test")

# vars that say where files are: of these a model sees none but the name of the warehouse's file
PLACES = ("raw", "sources", "warehouse")

# what mart_hashes leaves out
OPERATIONS_MARTS = (
    "alert_deliveries",
    "column_lineage",
    "exports",
    "load_files",
    "run_results",
    "score_requests",
)
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


def decisive(vars: Mapping) -> str:
    """The vars that decide what dbt parses, as text."""
    kept = {name: value for name, value in vars.items() if name not in PLACES}
    return repr([Path(vars.get("warehouse", "")).name, sorted(kept.items())])


@functools.cache
def parsed_folder() -> tempfile.TemporaryDirectory:
    """A folder for what dbt has parsed, removed when the tests end."""
    return tempfile.TemporaryDirectory(prefix="retour_parsed_")


def parsed_already(vars: Mapping) -> Path:
    """Where the first build leaves what it has parsed for all with the same decisive vars."""
    name = hashlib.sha256(decisive(vars).encode()).hexdigest()[:16]
    return Path(parsed_folder().name) / f"{name}.msgpack"


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
    parsed = parsed_already(vars)
    result = run(
        [
            *(sys.executable, "-m", "tests.dbt", "--no-use-colors"),
            *("--log-level-file", "none"),
            *(("--partial-parse-file-path", parsed) if parsed.exists() else ()),
            *args,
            *("--vars", json.dumps(vars)),
            *("--target-path", target, "--log-path", target / "logs"),
        ],
        env=environment() | dict(env or {}),
    )
    if not parsed.exists() and (target / "partial_parse.msgpack").exists():
        shutil.copyfile(target / "partial_parse.msgpack", parsed)
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


def mart_hashes(
    build: Build, source: str | None = None, leave_out: Sequence[str] = ()
) -> dict[str, tuple]:
    """Rows and hash of every mart that the rows of the input decide; of one source if given.

    Left out are the operations marts, which tell of files and runs, and everywhere the file and
    row number that a row was read from; of row_reconciliation, which has a row per file, the sums.
    `leave_out` are further marts.
    """
    with duckdb.connect(str(build.warehouse), read_only=True) as connection:
        return {
            mart: connection.execute(
                f"select count(*), sum(cast(hash(mart) as hugeint)) from ({select}) as mart"
            ).fetchone()
            for mart, select in _selects(connection, "warehouse", source).items()
            if mart not in leave_out
        }


def assert_same_marts(
    found: Build, expected: Build, source: str | None = None, leave_out: Sequence[str] = ()
) -> None:
    """Every mart has the same hash in both; else fail and show rows that only one of them has."""
    hashes, wanted = (mart_hashes(build, source, leave_out) for build in (found, expected))
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


# A small shop whose every row is valid: ids on some lines and not on others, guests, discounts,
# two currencies, a line cancelled and one undelivered, every way for a return to name its sale.
SHOP = {
    "order_lines": """
        order_line_id,order_id,ordered_at,customer_id,product_id,seller_id,quantity,unit_price,discount_amount,tax_amount,currency,country,category,cancelled_at,return_status
        L1,A1,2025-01-05 10:00:00,ada,shirt,north,2,20.00,,3.80,EUR,DE,tops,,
        L2,A1,2025-01-05 10:00:00,ada,shoes,south,1,90.00,10.00,15.20,EUR,DE,shoes,,
        L3,A2,2025-01-09 12:30:00,ben,shirt,north,1,20.00,,1.90,EUR,AT,tops,,
        L4,A3,2025-01-20 08:15:00,,hat,north,3,15.50,,4.65,EUR,DE,hats,,
        L5,A4,2025-02-02 19:00:00,ada,shirt,north,3,22.00,6.00,6.00,EUR,DE,tops,,
        L6,A5,2025-02-11 11:11:11,cem,shoes,south,1,80.00,,15.20,EUR,GB,shoes,,
        L7,A6,2025-02-14 09:00:00,dea,hat,south,2,15.00,,3.00,EUR,FR,hats,2025-02-15 09:00:00,
        L8,A6,2025-02-14 09:00:00,dea,shoes,south,1,95.00,,19.00,EUR,FR,shoes,,
        ,B1,2025-02-20 10:00:00,ben,hat,north,1,15.50,,1.50,EUR,AT,hats,,
        ,B1,2025-02-20 10:00:00,ben,hat,north,1,15.50,,1.50,EUR,AT,hats,,
        ,B2,2025-03-01 10:00:00,eva,shirt,north,4,19.90,,7.60,EUR,DE,tops,,
        ,B3,2025-03-03 14:00:00,0,shirt,north,1,20.00,,1.90,EUR,DE,tops,,
        ,B4,2025-03-08 16:45:00,cem,hat,north,1,13.00,,1.30,EUR,GB,hats,,
        ,B5,2025-03-21 07:00:00,ada,shoes,south,1,92.00,,17.00,EUR,DE,shoes,,undelivered
        ,B6,2025-04-02 18:00:00,fay,shoes,south,2,90.00,18.00,30.00,EUR,DE,shoes,,
        ,B6,2025-04-02 18:00:00,fay,hat,north,1,15.50,,1.50,EUR,DE,hats,,returned
        ,B7,2025-04-30 21:00:00,ben,shoes,south,1,90.00,,15.20,EUR,AT,shoes,,
        L9,A7,2025-05-05 10:00:00,guest,hat,north,1,15.50,,1.50,EUR,DE,hats,,
        L10,A8,2025-05-20 10:00:00,eva,shirt,north,1,20.00,,1.90,EUR,DE,tops,,
        L11,A9,2025-06-10 10:00:00,ada,hat,north,1,15.50,,1.50,EUR,DE,hats,,
    """,
    "returns": """
        return_id,order_line_id,order_id,product_id,customer_id,quantity,returned_at,refund_amount,currency,reason,condition
        R1,L1,,,,1,2025-01-12 09:00:00,20.00,EUR,too_small,new
        R2,L2,,,,1,2025-01-15,80.00,EUR,too_small,opened
        R3,,A6,shoes,,1,2025-02-25,,EUR,changed_mind,
        R4,,A5,,,1,2025-03-02,80.00,EUR,damaged,
        ,,,shirt,ada,4,2025-02-20 12:00:00,,EUR,too_big,
        ,,,hat,ben,1,2025-03-05,15.50,EUR,,
        ,,B2,shirt,,2,2025-03-30,39.80,EUR,too_big,new
        R8,,,shirt,gus,1,2025-04-01,20.00,EUR,,
    """,
    "customers": """
        customer_id,name,email,country,created_at,customer_type
        ada,Ada,ada@example.com,DE,2024-12-01,regular
        ben,Ben,ben@example.com,AT,2025-01-09,regular
        hal,Hal,hal@example.com,DE,2025-02-01,business
    """,
    "products": """
        product_id,name,category,brand,unit_cost,created_at
        shirt,Shirt,tops,Nord,8.00,2024-11-01
        shoes,Shoes,shoes,Sud,40.00,2024-11-01
    """,
    "sellers": """
        seller_id,name,country,created_at
        north,North,DE,2024-10-01
        south,South,FR,2024-10-01
    """,
    "reviews": """
        rating,reviewed_at,order_line_id,order_id,product_id,customer_id,seller_id
        5,2025-01-20,L1,,shirt,ada,
        2,2025-03-04,,A5,shoes,cem,south
    """,
}


def table(text: str) -> list[list[str]]:
    """The header and the rows of an indented CSV literal without quotes."""
    return [line.split(",") for line in textwrap.dedent(text).strip().splitlines()]


def write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write rows without anything that needs quotes as a CSV file."""
    write(path, "".join(",".join(row) + "\n" for row in rows))


def write_shop(folder: Path) -> None:
    """Write the files of SHOP."""
    for name, text in SHOP.items():
        write_table(folder / f"{name}.csv", table(text))
