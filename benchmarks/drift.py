"""Has one table moved against another: ten million rows of twenty columns.

python -m benchmarks.drift [ROWS]    seconds and memory, 10,000,000 by default

Half of the rows are the baseline, half five batches; fourteen columns are numbers, most of them
with a value of their own in every row, six are categories. What is measured is `retour drift` on
tables of a DuckDB file: counting, every statistic, the domain classifier and the two marts.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from retour import drift

ROOT = Path(__file__).resolve().parent.parent
THREADS = 2
MEMORY_LIMIT = "2500MB"
BATCHES = 5
SIDE = """
select
    cast(u1 < 0.22 as int) as returned,
    round(exp(4.2 + 0.8 * n1), 2) as unit_price,
    round(exp(4.6 + 0.9 * n2), 2) as basket_value,
    round(1 + 0.06 * n3 + {shift}, 4) as price_to_product,
    exp(n2) / (1 + exp(n2)) as product_return_rate,
    exp(n1) / (1 + exp(n1)) as seller_return_rate,
    case when u2 > 0.4 then floor(-60 * ln(u3)) end as days_since_order,
    case when u4 < 0.6 then 0 else round(0.6 * u5 * u5, 2) end as discount_share,
    floor(2 - 2 * ln(u6)) as delivery_days,
    floor(-2 * ln(u2)) as orders_before,
    1 + floor(-0.4 * ln(u3)) as quantity,
    1 + floor(5 * sqrt(u4)) as rating,
    n1 * n2 as taste,
    abs(n3) * u5 as distance,
    'category ' || floor(12 * u1 * u1) as category,
    'country ' || floor(25 * u2 * u3) as country,
    'brand ' || floor(300 * u4 * u5) as brand,
    case when u5 < 0.6 then 'card' when u5 < 0.9 then 'cod' else 'later' end as payment_method,
    case when u6 < 0.4 then 'app' else 'web' end as channel,
    'market ' || floor(3 * u1) as marketplace
from (
    select
        *,
        sqrt(-2 * ln(u1)) * cos(6.283185307179586 * u2) as n1,
        sqrt(-2 * ln(u3)) * cos(6.283185307179586 * u4) as n2,
        sqrt(-2 * ln(u5)) * cos(6.283185307179586 * u6) as n3
    from (
        select {draws} from range({first}, {end}) as numbers (i)
    )
)
"""


def side(first: int, end: int, shift: float) -> str:
    """The query of made-up lines first to end."""
    draws = ", ".join(
        f"(hash(i, {place}) + 1) / 18446744073709551617.0 as u{place}" for place in range(1, 7)
    )
    return SIDE.format(draws=draws, first=first, end=end, shift=shift)


def measure(file: Path) -> None:
    """Compare the tables of a file; in a process of its own, so that its memory is its own."""
    connection = duckdb.connect()
    connection.execute(f"set threads = {THREADS}")
    connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
    started = time.perf_counter()
    check = drift.check(
        "main.baseline",
        [f"main.batch_{number}" for number in range(1, BATCHES + 1)],
        root=ROOT,
        warehouse=file,
        connection=connection,
    )
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    drift.show(check, lambda text: None)
    for row in check.rows("select batch, severity, top_feature from drift_batches order by batch"):
        print(f"{row['batch']}: {row['severity']} {row['top_feature'] or ''}")
    print(
        f"{seconds:.1f} s, {used.ru_utime + used.ru_stime:.1f} CPU s, "
        f"{used.ru_maxrss / 1024 / 1024:.2f} GB at most"
    )


def main() -> None:
    """Write the tables, then measure."""
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
        return
    rows = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 10_000_000
    half = rows // 2
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tables.duckdb"
        with duckdb.connect(str(file)) as connection:
            connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
            connection.execute(f"create table baseline as {side(0, half, 0)}")
            for number in range(BATCHES):
                first = half + number * half // BATCHES
                shift = 0.1 if number == BATCHES - 1 else 0
                query = side(first, first + half // BATCHES, shift)
                connection.execute(f"create table batch_{number + 1} as {query}")
        print(f"{rows:,} rows x 20 columns, {BATCHES} batches, {THREADS} threads")
        subprocess.run(
            [sys.executable, "-m", "benchmarks.drift", "--measure", str(file)], check=True, cwd=ROOT
        )


if __name__ == "__main__":
    main()
