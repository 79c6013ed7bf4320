"""Time and memory of a whole build, beside those of a plain script that writes the same KPIs.

README.md says what is measured and how to read it.
"""

import argparse
import datetime as dt
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = HERE / ".cache"
RESULTS = HERE / "results" / "results.jsonl"
SAY_EVERY_SECONDS = 5


@dataclass(frozen=True)
class Cost:
    """What one process cost: seconds on the clock, seconds of CPU, largest memory in bytes."""

    wall: float
    cpu: float
    peak: int


def measure(command: list[str], on_line: Callable[[str], None] | None = None) -> Cost:
    """Run a command in a process of its own; `on_line` gets each line that it prints.

    Ends the program with the command's last lines if it fails.
    """
    started = time.monotonic()
    tail: list[str] = []
    environment = {name: value for name, value in os.environ.items() if name[:4] != "DBT_"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    for line in process.stdout:
        tail = [*tail[-20:], line]
        if on_line:
            on_line(line)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed ({process.returncode}):\n{''.join(tail)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def world(lines: int, dirt: float) -> Path:
    """The raw folder of a generated world; made once and kept until the generator changes."""
    code = sorted([ROOT / "data" / "generate.py", *(ROOT / "data" / "sql").glob("*.sql")])
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in code)).hexdigest()
    folder = CACHE / f"demo-{lines}-{dirt:g}"
    stamp = folder / "made_by"
    if not stamp.is_file() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        say(f"Generating {lines:,} lines")
        options = ["--out", str(folder), "--lines", str(lines), "--dirt", str(dirt)]
        options += ["--truth", "summary"]
        cost = measure([sys.executable, "-m", "data.generate", *options], say_line())
        say(f"Generated in {cost.wall:.1f} s ({cost.cpu:.1f} s CPU, {gigabytes(cost.peak)})")
        shutil.rmtree(folder / "truth")
        stamp.write_text(digest)
    return folder / "raw"


class Phases:
    """Follows dbt's JSON log: when landing began, when the first node, and what runs now."""

    def __init__(self) -> None:
        self.begun = {"start": time.time()}
        self.said = time.monotonic()

    def __call__(self, line: str) -> None:
        try:
            event = json.loads(line)["info"]
        except (ValueError, TypeError, KeyError):
            return
        at = dt.datetime.fromisoformat(event["ts"].replace("Z", "+00:00")).timestamp()
        if event["name"] == "FoundStats":
            self.begun["landing"] = at
        elif event["name"] == "LogStartLine":
            self.begun.setdefault("nodes", at)
        if time.monotonic() - self.said > SAY_EVERY_SECONDS:
            self.said = time.monotonic()
            say(event["msg"].strip())

    def seconds(self, wall: float) -> dict[str, float]:
        """Seconds of each phase; together the wall time."""
        begun = self.begun
        return {
            "start": begun["landing"] - begun["start"],
            "landing": begun["nodes"] - begun["landing"],
            "nodes": begun["start"] + wall - begun["nodes"],
        }


def benchmark(source: str, raw: Path) -> dict[str, Any]:
    """Measure the build of one raw folder, and the plain script on the same files."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        warehouse, plain_file = Path(folder) / "warehouse.duckdb", Path(folder) / "plain.duckdb"
        vars = {"sources": [source], "raw": str(raw), "warehouse": str(warehouse)}
        say("Building")
        phases = Phases()
        build = measure(
            [
                *(sys.executable, "-m", "dbt.cli.main", "--log-format", "json"),
                *("--log-level-file", "none", "--no-use-colors"),
                *("build", "--vars", json.dumps(vars)),
                *("--target-path", f"{folder}/target", "--log-path", f"{folder}/logs"),
            ],
            phases,
        )
        say(f"Built in {build.wall:.1f} s; now the plain script")
        arguments = [source, str(raw), str(plain_file)]
        plain = measure([sys.executable, "-m", "benchmarks.plain", *arguments])
        with duckdb.connect(str(warehouse), read_only=True) as marts:
            nodes = marts.execute(
                """
                select regexp_replace(node_id, '^.*?[.].*?[.]', ''), execution_seconds
                from read_parquet($ops)
                order by execution_seconds desc limit 10""",
                {"ops": f"{folder}/ops/run_results/*.parquet"},
            ).fetchall()
            lines = marts.execute("select count(*) from marts.order_lines").fetchone()[0]
            totals = """
                select sum(gross_revenue), sum(orders), sum(units), sum({returned})
                from {schema}.kpis_monthly"""
            ours = marts.execute(
                totals.format(returned="returned_units_by_event_date", schema="marts")
            ).fetchone()
        with duckdb.connect(str(plain_file), read_only=True) as database:
            theirs = database.execute(
                totals.format(returned="returned_units", schema="main")
            ).fetchone()
        return {
            "source": source,
            "lines": lines,
            "input_bytes": sum(file.stat().st_size for file in (raw / source).iterdir()),
            "warehouse_bytes": warehouse.stat().st_size,
            "build": figures(build),
            "phases": {name: round(value, 2) for name, value in phases.seconds(build.wall).items()},
            "slowest_nodes": {name: round(seconds, 2) for name, seconds in nodes},
            "plain": figures(plain),
            "ratio": round(build.wall / plain.wall, 1),
            # how far apart the two are: gross revenue, orders, units, returned units by event date
            "largest_difference": max(
                abs(float(one) / float(other) - 1) for one, other in zip(ours, theirs, strict=True)
            ),
        }


def figures(cost: Cost) -> dict[str, float]:
    """A cost as it is kept in the results."""
    return {"wall": round(cost.wall, 2), "cpu": round(cost.cpu, 2), "peak": cost.peak}


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
        "dbt": version("dbt-core"),
    }


def render(results: list[dict[str, Any]], where: dict[str, Any]) -> str:
    """The results as Markdown."""
    rows = [
        f"{where['cores'] or os.cpu_count()} cores, {gigabytes(where['memory_bytes'])} memory, "
        f"Python {where['python']}, DuckDB {where['duckdb']}, dbt {where['dbt']}",
        "",
        "| source | order lines | build s | of it landing | CPU s | peak | plain s | CPU s | peak "
        "| ratio | difference |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in results:
        build, plain = one["build"], one["plain"]
        rows.append(
            f"| {one['source']} | {one['lines']:,} "
            f"| {build['wall']:.1f} | {one['phases']['landing']:.1f} | {build['cpu']:.1f} "
            f"| {gigabytes(build['peak'])} "
            f"| {plain['wall']:.1f} | {plain['cpu']:.1f} | {gigabytes(plain['peak'])} "
            f"| {one['ratio']:.1f} | {one['largest_difference']:.2%} |"
        )
    for one in results:
        phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in one["phases"].items())
        nodes = ", ".join(f"{name} {value:.1f}" for name, value in one["slowest_nodes"].items())
        rows += ["", f"{one['source']}, {one['lines']:,} lines: {phases}. Slowest nodes: {nodes}."]
    return "\n".join(rows)


def gigabytes(size: float) -> str:
    """Bytes as text."""
    return f"{size / 1e9:.1f} GB"


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def say_line() -> Callable[[str], None]:
    return lambda line: say(line.rstrip())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--lines", type=int, nargs="*", default=[], help="sizes of the generated worlds")
    add("--real", type=Path, metavar="FILE", help="also measure this Online Retail file")
    add("--dirt", type=float, default=0.0, help="share of dirty lines in the worlds (default 0)")
    add("--runs", type=int, default=1, help="measure each so often; all are shown")
    options = parser.parse_args()
    if not options.lines and not options.real:
        parser.error("nothing to measure: give --lines or --real")

    inputs = [("demo", world(lines, options.dirt)) for lines in options.lines]
    if options.real:
        if not options.real.is_file():
            parser.error(f"--real: there is no file {options.real}")
        folder = CACHE / "real" / "online_retail"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(options.real, folder)
        inputs.append(("online_retail", folder.parent))

    where, results = machine(), []
    RESULTS.parent.mkdir(exist_ok=True)
    for source, raw in inputs:
        for _ in range(options.runs):
            results.append(benchmark(source, raw))
            record = {"measured_at": dt.datetime.now(dt.UTC).isoformat(), **where, **results[-1]}
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
    print(render(results, where))


if __name__ == "__main__":
    main()
