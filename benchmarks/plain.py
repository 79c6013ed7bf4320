"""The plain script: reads the input files once and writes the KPI tables, nothing else.

    python -m benchmarks.plain SOURCE RAW_FOLDER DATABASE_FILE

What an analyst would write in an afternoon: no staging, no rejected rows, no matcher, no tests. It
is the floor that a build is compared with. One SQL file per source reads the files; both share the
KPIs.
"""

import sys
from pathlib import Path

import duckdb

HERE = Path(__file__).parent
ROOT = HERE.parent


def files(folder: Path, table: str) -> str:
    """The files of one table, as a relation for FROM; every column as text."""
    found = sorted(map(str, folder.glob(f"{table}*.*")))
    if not found:
        raise FileNotFoundError(f"{folder} has no {table}*.csv or {table}*.parquet")
    if found[0].endswith(".parquet"):
        return f"read_parquet({found})"
    return f"read_csv({found}, all_varchar = true, ignore_errors = true)"


def main(source: str, raw: str, database: str) -> None:
    """Write the KPI tables of one source."""
    folder = Path(raw) / source
    tables = {"online_retail": [""]}.get(source, ["order_lines", "returns"])
    with duckdb.connect(database) as connection:
        connection.execute("set preserve_insertion_order = false")
        for table in tables:
            connection.execute(
                f"create temp view {table or 'lines'}_file as from {files(folder, table)}"
            )
        rates = ROOT / "dbt_project" / "seeds" / "policy" / "policy_fx_rates.csv"
        connection.execute(f"create temp view fx_rates as from '{rates}'")
        reader = "online_retail" if source == "online_retail" else "canonical"
        for name in (f"plain_{reader}.sql", "plain_kpis.sql"):
            connection.execute((HERE / name).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(*sys.argv[1:])
