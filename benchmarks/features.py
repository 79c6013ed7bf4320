"""What features, models and scores of order lines cost, on a generated world.

python -m benchmarks.features [LINES]    ten million by default; lines upstream are built first
"""

import json
import sys
import tempfile
from pathlib import Path

import duckdb

from benchmarks.__main__ import CACHE, Phases, gigabytes, measure, say, world

GROUPS = {
    "features": [
        *("int_reviews_resolved", "int_feature_entities", "int_feature_lines"),
        *("int_entity_days", "return_features"),
    ],
    "models": ["ml_return_models"],
    "scores": ["ml_return_scorers", "ml_return_scores", "order_return_scores"],
}
QUIETLY = ("--exclude-resource-type", "test", "unit_test")


def main(lines: int) -> None:
    """Build what comes before, then each group by itself; print seconds on the clock and memory."""
    raw = world(lines, dirt=0.0)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        warehouse = Path(folder) / "warehouse.duckdb"
        vars = {"sources": ["demo"], "raw": str(raw), "warehouse": str(warehouse)}

        def dbt(*arguments: str) -> tuple[float, float, int]:
            phases = Phases()
            cost = measure(
                [
                    *(sys.executable, "-m", "dbt.cli.main", "--log-format", "json"),
                    *("--log-level-file", "none", "--no-use-colors", "build", *QUIETLY),
                    *(*arguments, "--vars", json.dumps(vars)),
                    *("--target-path", f"{folder}/target", "--log-path", f"{folder}/logs"),
                ],
                phases,
            )
            return phases.seconds(cost.wall)["nodes"], cost.cpu, cost.peak

        names = [name for group in GROUPS.values() for name in group]
        say(f"Building what {', '.join(GROUPS)} need")
        dbt("--select", "+order_return_scores", "--exclude", *names)
        print("| part | order lines | seconds of its nodes | CPU s with start | peak |")
        print("|---|---:|---:|---:|---:|")
        for group, models in GROUPS.items():
            wall, cpu, peak = dbt("--select", *models)
            print(f"| {group} | {lines:,} | {wall:.1f} | {cpu:.1f} | {gigabytes(peak)} |")
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            scored = connection.execute("select count(*) from marts.order_return_scores")
            say(f"{scored.fetchall()[0][0]:,} lines scored")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
