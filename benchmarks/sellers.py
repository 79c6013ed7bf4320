"""What the marts of sellers and alerts cost on a ledger of ten million lines and 5,000 sellers.

python -m benchmarks.sellers [LINES] [SELLERS]    ten million and 5,000 by default

The ledger is a small generated world, built once as usual and then copied in SQL until it is large
enough: each copy has customers, orders, products and sellers of its own.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import duckdb

from benchmarks.__main__ import CACHE, Phases, gigabytes, measure, say, world

BASE_LINES = 60_000
MARTS = (
    *("seller_risk", "product_risk", "category_risk", "seller_risk_factors", "marketplace_health"),
    *("risk_trends", "alerts", "alert_backtest"),
)
FOLDERS = ("path:dbt_project/models/intermediate/risk", "path:dbt_project/models/marts/risk")
QUIETLY = ("--exclude-resource-type", "test", "unit_test", "seed")

# what the marts read, and what tells the copies apart; `seller` comes round again, as there are
# fewer sellers than orders to give them
COPIED = {
    "marts.order_lines": {
        "order_line_id": "copy", "order_id": "copy", "customer_id": "copy",
        "product_id": "copy", "seller_id": "seller",
    },
    "marts.customers": {"customer_id": "copy"},
    "marts.products": {"product_id": "copy"},
    "marts.order_return_scores": {"order_line_id": "copy", "order_id": "copy"},
    "staging.stg_canonical__reviews": {
        "review_id": "copy", "order_line_id": "copy", "order_id": "copy", "customer_id": "copy",
        "product_id": "copy", "seller_id": "seller",
    },
    "marts.sellers": {"seller_id": "seller"},
    "intermediate.int_return_costs_by_entity": {},
}  # fmt: skip


def enlarge(warehouse: Path, lines: int, sellers: int) -> tuple[int, int]:
    """Copy what the marts read until there are so many lines; lines and sellers there are then."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("set enable_progress_bar = false")
        # copying needs no order, and no more memory than the build
        connection.execute("set preserve_insertion_order = false; set memory_limit = '5GB'")

        def value(sql: str) -> int:
            return connection.execute(sql).fetchall()[0][0]

        copies = lines // value("select count(*) from marts.order_lines")
        rounds = max(1, sellers // value("select count(distinct seller_id) from marts.order_lines"))
        for table, keys in COPIED.items():
            schema, name = table.split(".")
            columns = [
                row[0]
                for row in connection.execute(
                    "select column_name from information_schema.columns where table_schema = $1 "
                    "and table_name = $2 order by ordinal_position",
                    [schema, name],
                ).fetchall()
            ]
            ids = {"copy": "copy", "seller": f"copy % {rounds}"}
            selected = ", ".join(
                f"{column} || '-' || {ids[keys[column]]} as {column}" if column in keys else column
                for column in columns
            )
            times = rounds if set(keys.values()) == {"seller"} else copies
            if not keys:
                selected = selected.replace(
                    "entity_id",
                    "case entity_type when 'seller' then entity_id || '-' || copy % "
                    f"{rounds} when 'product' then entity_id || '-' || copy else entity_id end "
                    "as entity_id",
                )
                times = copies
            distinct = "distinct" if not keys else ""
            connection.execute(
                f"create table {schema}.enlarged as select {distinct} {selected} "
                f"from {table}, range({times}) as numbers (copy)"
            )
            connection.execute(f"drop {'view' if name.startswith('stg_') else 'table'} {table}")
            connection.execute(f"alter table {schema}.enlarged rename to {name}")
        return (
            value("select count(*) from marts.order_lines"),
            value("select count(distinct seller_id) from marts.order_lines"),
        )


def main(lines: int = 10_000_000, sellers: int = 5_000) -> None:
    """Build what comes before, copy it, build the marts; print seconds of each model and memory."""
    raw = world(BASE_LINES, dirt=0.0)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        warehouse = Path(folder) / "warehouse.duckdb"
        vars = {"sources": ["demo"], "raw": str(raw), "warehouse": str(warehouse)}

        def dbt(*arguments: str) -> tuple[float, float, int]:
            phases = Phases()
            cost = measure(
                [
                    *(sys.executable, "-m", "dbt.cli.main", "--log-format", "json"),
                    *("--log-level-file", "none", "--no-use-colors", "build"),
                    *(*arguments, "--vars", json.dumps(vars)),
                    *("--target-path", f"{folder}/target", "--log-path", f"{folder}/logs"),
                ],
                phases,
            )
            return phases.seconds(cost.wall)["nodes"], cost.cpu, cost.peak

        say("Building what the marts read")
        dbt(
            *("--select", *(f"+{mart}" for mart in MARTS)),
            *("--exclude-resource-type", "test", "unit_test"),
        )
        say("Copying it")
        lines, sellers = enlarge(warehouse, lines, sellers)
        shutil.rmtree(Path(folder) / "ops", ignore_errors=True)
        wall, cpu, peak = dbt("--select", *FOLDERS, *QUIETLY)
        with duckdb.connect() as connection:
            nodes = connection.execute(
                """
                select regexp_replace(node_id, '^.*?[.].*?[.]', ''), execution_seconds
                from read_parquet($ops) order by execution_seconds desc""",
                {"ops": f"{folder}/ops/run_results/*.parquet"},
            ).fetchall()
        print("| order lines | sellers | seconds | CPU s with start | peak |")
        print("|---:|---:|---:|---:|---:|")
        print(f"| {lines:,} | {sellers:,} | {wall:.1f} | {cpu:.1f} | {gigabytes(peak)} |")
        print("\nSlowest: " + ", ".join(f"{name} {value:.2f}" for name, value in nodes[:25]) + ".")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
