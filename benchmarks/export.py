"""What an export of a million rows costs, beside the fastest way to load a prepared file.

python -m benchmarks.export [ROWS] [RUNS]    seconds and ratios; 1,000,000 rows, 3 runs by default

Needs PostgreSQL and MariaDB (`make servers`); it starts servers of its own, on loopback. The two
ways take turns and the quickest run of each counts, since others may use the machine.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from retour.export import export, mysql, postgres
from retour.publish import publish
from tests.servers import MariaDB, Postgres, running

# as wide as what engineering trials load: about 100 bytes a row in CSV
LINES = """
create table marts.order_lines (
    source varchar not null, order_line_id varchar not null, order_id varchar,
    customer_id varchar, product_id varchar, category varchar, ordered_at timestamp,
    ordered_date date, quantity bigint, net_amount decimal(18, 4), refund_amount decimal(18, 4),
    is_returned boolean, return_probability double
);
insert into marts.order_lines
select
    'demo', 'L' || lpad(number::varchar, 9, '0'), 'O' || number // 2,
    'C' || hash(number, 'customer') % 100000, 'P' || hash(number, 'product') % 5000,
    'category ' || hash(number, 'category') % 20,
    timestamp '2025-01-01' + interval (number) second, date '2025-01-01' + (number % 365)::int,
    1 + number % 3, (number % 90000) / 100,
    case when number % 5 = 0 then (number % 90000) / 100 end,
    number % 5 = 0, hash(number, 'p') % 1000 / 1000.0e0
from range({rows}) as numbers (number)
"""
WAREHOUSE = """
create schema marts; create schema raw;
create table raw.mart_keys (
    schema_name varchar, table_name varchar, position bigint, column_name varchar
);
insert into raw.mart_keys values
    ('marts', 'order_lines', 1, 'source'), ('marts', 'order_lines', 2, 'order_line_id');
create table marts.coverage (source varchar, as_of_date date);
insert into marts.coverage values ('demo', '2026-01-01');
create table marts.run_results (invocation_id varchar, command varchar, started_at timestamp);
create table marts.customers (
    source varchar, customer_id varchar, primary key (source, customer_id)
);
insert into marts.customers select 'demo', 'C' || number from range(100000) as numbers (number);
"""
TABLES = ["order_lines", "customers"]


def main(rows: int, runs: int) -> None:
    """Print seconds of each way and how much longer the export takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
            connection.execute(WAREHOUSE)
            connection.execute(LINES.format(rows=rows))
        published = publish(folder / "warehouse.duckdb").path

        def run(to: str, target: str, tables: list[str] = TABLES) -> Callable[[], object]:
            return lambda: export(
                to=to, published=published, ops=folder / "ops", target=target, tables=tables
            )

        print(f"{rows:,} rows of 13 columns and 100,000 of 2; the quickest of {runs} runs\n")
        print("| To | Export s | Fastest way s | Ratio |\n|---|---:|---:|---:|")
        with running(Postgres) as server:
            compare(
                "PostgreSQL: key, index, verified, swapped; CSV written and COPY into a bare table",
                run("postgres", server.address("postgres")),
                lambda: copy_into_postgres(server, published, folder),
                runs,
            )
        with running(MariaDB) as server:
            with server.connect("") as connection:
                connection.cursor().execute("create database bench")
            compare(
                "MariaDB: the same; CSV written and LOAD DATA into a bare table",
                run("mysql", server.address("bench")),
                lambda: load_into_mariadb(server, published, folder),
                runs,
            )
        for to in ("parquet", "csv"):
            compare(
                f"{to}: verified, hashed, swapped; DuckDB's COPY",
                run(to, str(folder / "out" / to)),
                lambda to=to: duckdb_copy(published, folder / f"bare.{to}", to),
                runs,
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\npeak of the exporting process: {peak:.1f} GB")


def compare(
    what: str, ours: Callable[[], object], fastest: Callable[[], object], runs: int
) -> None:
    """Time two ways in turns and print a row."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for way, times in zip((ours, fastest), seconds, strict=True):
            started = time.perf_counter()
            way()
            times.append(time.perf_counter() - started)
    mine, best = min(seconds[0]), min(seconds[1])
    print(f"| {what} | {mine:.1f} | {best:.1f} | {mine / best:.1f} |", flush=True)


def duckdb_copy(published: Path, file: Path, to: str) -> None:
    """Both tables to files by DuckDB alone."""
    options = "format parquet, compression zstd" if to == "parquet" else "format csv, header true"
    with duckdb.connect(str(published), read_only=True) as connection:
        for table in TABLES:
            connection.execute(f"copy marts.{table} to '{file}' ({options})")


def written(published: Path, file: Path, table: str, columns: str = "*") -> None:
    """A table as the CSV that is loaded."""
    with duckdb.connect(str(published), read_only=True) as connection:
        connection.execute(
            f"copy (select {columns} from marts.{table}) to '{file}'"
            " (format csv, header false, nullstr 'NULL')"
        )


def copy_into_postgres(server: Postgres, published: Path, folder: Path) -> None:
    """CSV and COPY: no key, no index, nothing compared."""
    file = folder / "bare.csv"
    with server.connect("postgres", autocommit=False) as connection:
        for table in tables_of(published):
            columns = ", ".join(f"{c.quoted} {postgres.kind(c)}" for c in table.columns)
            connection.execute(f"drop table if exists bare_{table.name}")
            connection.execute(f"create table bare_{table.name} ({columns})")
            written(published, file, table.name)
            statement = f"copy bare_{table.name} from stdin (format csv, null 'NULL')"
            with (
                file.open("rb") as content,
                connection.cursor() as cursor,
                cursor.copy(statement) as copy,
            ):
                while chunk := content.read(postgres.CHUNK):
                    copy.write(chunk)


def load_into_mariadb(server: MariaDB, published: Path, folder: Path) -> None:
    """CSV and LOAD DATA: no key, no index, nothing compared."""
    file = folder / "bare.csv"
    with (
        server.connect("bench", local_infile=True) as connection,
        connection.cursor() as cursor,
    ):
        for table in tables_of(published):
            columns = ", ".join(
                f"`{c.name}` {'varchar(64)' if c.is_text else mysql.kind(c)}" for c in table.columns
            )
            cursor.execute(f"drop table if exists bare_{table.name}")
            cursor.execute(f"create table bare_{table.name} ({columns}) character set utf8mb4")
            written(published, file, table.name, ", ".join(map(mysql.loaded, table.columns)))
            cursor.execute(
                f"load data local infile '{file}' into table bare_{table.name} fields terminated by"
                " ',' optionally enclosed by '\"' escaped by '' lines terminated by '\\n'"
            )


def tables_of(published: Path) -> list:
    """The tables that are loaded, with their columns."""
    from retour.export.contract import Source

    with Source(published) as source:
        return [table for table in source.tables if table.name in TABLES]


if __name__ == "__main__":
    main(*(int(argument) for argument in (*sys.argv[1:], *("1000000", "3")[len(sys.argv) - 1 :])))
