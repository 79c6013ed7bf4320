"""What scoring order lines costs: the table model in SQL, in numpy, by joins, and scikit-learn.

python -m benchmarks.scoring [ROWS]    lines per second of each; 10,000,000 rows by default
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from ml import boosting, scoring_sql, table_model
from ml.boosting import Settings
from ml.table_model import Feature

SETTINGS = Settings(
    trees=100,
    learning_rate=0.1,
    max_bins=63,
    max_pairs=16,
    min_leaf_rows=20,
    max_categories=40,
    min_category_rows=30,
)
BATCH = 100_000
NUMBERS, WORDS = 20, 5
# features with holes, of which the later ones say ever less
LINES = f"""
    select
        number as id,
        {
    ", ".join(
        f"case when hash(number, 'gap', {i}) % 20 > 0 then hash(number, {i}) % 4096 / 4096.0e0 end"
        f" as number_{i}"
        for i in range(NUMBERS)
    )
},
        {
    ", ".join(
        f"'category ' || hash(number, 'word', {i}) % {4 + 4 * i} as word_{i}" for i in range(WORDS)
    )
}
    from range({{first}}, {{last}}) as numbers (number)
"""
LABEL = (
    "hash(id, 'label') % 4096 / 4096.0e0 < 1 / (1 + exp(1.2 - "
    + " - ".join(f"coalesce(number_{i} - 0.5, 0) * {1.5 / (1 + i)}" for i in range(NUMBERS))
    + " - case when word_0 = 'category 1' and number_0 > 0.5 then 1.0 else 0 end))"
)


def main(rows: int) -> None:
    """Fit on lines that are not scored, score `rows` others in every way, compare and print."""
    features = (
        *(Feature(f"word_{i}", "categorical", "word") for i in range(WORDS)),
        *(Feature(f"number_{i}", "numeric", "number") for i in range(NUMBERS)),
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(str(Path(folder) / "scoring.duckdb")) as connection,
    ):
        connection.execute("set preserve_insertion_order = false")
        fit_on = connection.execute(
            f"select *, cast({LABEL} as int) as label"
            f" from ({LINES.format(first=-20_000, last=0)}) order by id"
        ).fetchnumpy()
        start = time.perf_counter()
        model, trees = boosting.fit(
            fit_on,
            fit_on["label"].astype(int),
            fit_on["id"],
            features,
            settings=SETTINGS,
            random_state=1,
        )
        cells = sum(table.size for table in model.pairs.values())
        print(
            f"fitted on {len(fit_on['id']):,} lines in {time.perf_counter() - start:.1f} s:"
            f" {len(model.pairs)} pairs, {cells:,} cells"
        )
        connection.execute(f"create table lines as {LINES.format(first=0, last=rows)}")

        query = scoring_sql.score_query(model, features="lines", keys="id")
        in_sql = _timed("SQL, table to table", rows, lambda: _create(connection, query))
        few = min(rows, 10 * BATCH)
        batches = [
            connection.execute(
                f"select * from lines where id >= {first} and id < {first + BATCH} order by id"
            ).fetchnumpy()
            for first in range(0, few, BATCH)
        ]
        _timed(
            "numpy",
            few,
            lambda: [table_model.margin(model, table_model.assign(model, one)) for one in batches],
        )
        matrices = [table_model.encode(one, model.features, model.categories) for one in batches]
        said: list = []
        by_trees = _timed(
            "scikit-learn, encoded already",
            few,
            lambda: said.extend(trees.decision_function(matrix) for matrix in matrices),
        )
        print(f"SQL / scikit-learn: {in_sql / by_trees:.1f}")
        scored = connection.execute(
            f"select margin from scored where id < {few} order by id"
        ).fetchnumpy()["margin"]
        differences = [
            abs(scored[place * BATCH : (place + 1) * BATCH] - one).max()
            for place, one in enumerate(said)
        ]
        print(f"largest difference of log-odds: {max(differences):.1e}")


def _create(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    connection.execute(f"create or replace table scored as {query}")


def _timed(name: str, rows: int, run: Callable[[], object]) -> float:
    """Lines per second, printed."""
    start = time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    print(
        f"{name}: {rows:,} lines in {seconds:.1f} s, {rows / seconds / 1e6:.2f} million a second",
        flush=True,
    )
    return rows / seconds


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
