"""What a PRIMARY KEY costs on a table that grows with order lines, beside a check by grouping.

python -m benchmarks.keys [ROWS]    prints seconds for each; 10,000,000 rows by default
"""

import sys
import tempfile
import time
from pathlib import Path

import duckdb

COLUMNS = "source varchar, order_line_id varchar, net_amount decimal(18, 4)"
LINES = """
select 'demo' as source, 'L' || hash(i)::varchar as order_line_id, i::decimal(18, 4) as net_amount
from range({rows}) as numbers (i)
"""
STEPS = {
    "written without a key": "create table plain as select * from lines",
    "written with PRIMARY KEY (source, order_line_id)": "insert into keyed select * from lines",
    "key checked by grouping": "create table repeated as select source, order_line_id from lines"
    " group by source, order_line_id having count(*) > 1",
}


def main(rows: int) -> None:
    """Write `rows` lines with and without a key into a temporary file; print the seconds."""
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(str(Path(folder) / "keys.duckdb")) as connection,
    ):
        connection.execute("set preserve_insertion_order = false")
        connection.execute(f"create table lines as {LINES.format(rows=rows)}")
        connection.execute(f"create table keyed ({COLUMNS}, primary key (source, order_line_id))")
        for name, statement in STEPS.items():
            start = time.perf_counter()
            connection.execute(statement)
            print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
