"""What all proofs share: worlds generated and built one by one, result files, freshness.

A proof names the marts it examines, the worlds it needs, a `compute` that turns one world into a
few rows, a `pool` that turns the rows of all worlds into figures, and `missed`, which says which
targets the figures miss. The result file keeps figures, rows, and a hash of every file that had
a part in them: SQL, seeds, generator, and the proof's own Python.
"""

import csv
import hashlib
import inspect
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from data.generate import generate

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"
CACHE = HERE / ".cache"
READMES = (HERE / "README.md", ROOT / "README.md")  # tables between marks, where there are any
SOURCE = "demo"  # the name of every generated source: policies know it
PARAMETERS = "policy_parameters"  # the seed of which only the rows that are used count

Row = dict[str, Any]


@dataclass(frozen=True)
class World:
    """One generated world: the options of the generator, and what is done to its files."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    edit: Callable[[Path, Path], None] | None = None  # gets the folders raw/demo and truth/demo


@dataclass(frozen=True)
class Built:
    """A world that was built: its truth and its warehouse."""

    truth: Path
    warehouse: Path
    seconds: float | None = None  # of the build, and the most memory it took, in bytes
    peak: int | None = None

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The warehouse, read-only, with the truth as temporary views truth_<file>."""
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            parts: dict[str, list[str]] = {}
            for file in sorted(self.truth.glob("*.parquet")):
                parts.setdefault(re.sub(r"-\d+$", "", file.stem), []).append(str(file))
            for table, files in parts.items():
                names = ", ".join("'" + name.replace("'", "''") + "'" for name in files)
                connection.execute(
                    f"create temp view truth_{table} as from read_parquet([{names}])"
                )
            yield connection


class Workshop:
    """Makes and builds worlds in one scratch folder, each in the place of the one before.

    The folder stays the same so that dbt need not parse the project again. `ready` are worlds
    that were built elsewhere, by name. `filled` models are there already when dbt runs, and nothing
    is built for them alone.
    """

    def __init__(
        self,
        marts: Sequence[str],
        ready: Mapping[str, Built] | None = None,
        filled: Sequence[str] = (),
    ) -> None:
        self.marts = marts
        self.ready = dict(ready or {})
        self.filled = filled
        self.selected = [f"+{mart}" for mart in marts]
        self.measured: dict[tuple[str, str], Any] = {}
        self.folder: Path | None = None

    def __enter__(self) -> "Workshop":
        self.folder = Path(tempfile.mkdtemp(prefix="retour-proof-"))
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def measure(self, world: World, function: Callable[[Built], Any]) -> Any:
        """What `function` says of a built world; asked only once for each world."""
        key = (world.name, f"{function.__module__}.{function.__qualname__}")
        if key not in self.measured:
            self.measured[key] = function(self.ready.get(world.name) or self._build(world))
        return self.measured[key]

    def _build(self, world: World) -> Built:
        assert self.folder, "the workshop is not open"
        warehouse = self.folder / "warehouse.duckdb"
        for leftover in ("raw", "truth", "ops"):
            shutil.rmtree(self.folder / leftover, ignore_errors=True)
        warehouse.unlink(missing_ok=True)
        raw = generate(self.folder, source=SOURCE, **world.options)
        truth = self.folder / "truth" / SOURCE
        if world.edit:
            world.edit(raw, truth)
        if self.filled and self.selected[0].startswith("+"):
            manifest = parse()
            nodes, _ = _upstream(self.marts, manifest, self.filled)
            self.selected = sorted(
                manifest["nodes"][name]["name"] for name in nodes if name in manifest["nodes"]
            )
        vars = {"sources": [SOURCE], "raw": str(raw.parent), "warehouse": str(warehouse)}
        started = time.monotonic()
        peak = dbt(
            "build",
            *("--select", *self.selected),
            *("--exclude-resource-type", "test", "unit_test"),
            *("--vars", json.dumps(vars)),
            target=self.folder / "target",
        )
        return Built(truth, warehouse, time.monotonic() - started, peak)

    @property
    def manifest(self) -> dict[str, Any] | None:
        """dbt's manifest of the last build here, None before."""
        file = (self.folder or CACHE) / "target" / "manifest.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


@dataclass(frozen=True)
class Proof:
    """A claim about marts and how it is examined; every test run redoes the worlds of `subset`."""

    name: str
    claim: str
    marts: tuple[str, ...]
    worlds: tuple[World, ...]
    subset: tuple[str, ...]
    compute: Callable[[World, Workshop], list[Row]]
    pool: Callable[[dict[str, list[Row]]], list[Row]]
    missed: Callable[[list[Row]], list[str]]
    show: Callable[[list[Row]], str]
    summary: Callable[[list[Row]], str]  # what of it stands in the README
    helpers: tuple[Path, ...] = ()  # further Python that the figures depend on
    filled: tuple[str, ...] = ()  # models that it fills itself: what they are made of has no part

    @property
    def file(self) -> Path:
        return RESULTS / f"{self.name}.json"

    @property
    def python(self) -> tuple[Path, ...]:
        """The proof's own code."""
        return (Path(inspect.getfile(self.compute)).resolve(), *self.helpers)

    def world(self, name: str) -> World:
        return next(world for world in self.worlds if world.name == name)


def dbt(*arguments: str, target: Path) -> int:
    """Run dbt in a process of its own; the most memory it took, in bytes.

    Raises RuntimeError with what it said if it fails.
    """
    command = [
        *(sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "--log-level-file", "none"),
        *arguments,
        *("--target-path", str(target), "--log-path", str(target / "logs")),
    ]
    environment = {name: value for name, value in os.environ.items() if name[:4] != "DBT_"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"dbt {arguments[0]} failed:\n{text}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# freshness


def parse() -> dict[str, Any]:
    """dbt's manifest of the project as it is."""
    dbt("parse", target=CACHE / "target")
    return json.loads((CACHE / "target" / "manifest.json").read_text(encoding="utf-8"))


def ingredients(proof: Proof, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Every file that has a part in the figures, with a hash of its words (Python: of its bytes).

    These are the SQL, seeds and macros that the marts depend on, the generator, and the proof's
    Python; of a file of macros only those, of the parameters only the rows whose name stands in
    one of these files. Neither documentation (.yml) nor landing counts.
    """
    nodes, macros = _upstream(proof.marts, manifest, proof.filled)
    paths = {
        ROOT / manifest["nodes"][name]["original_file_path"]
        for name in nodes
        if name in manifest["nodes"]
    }
    paths |= {ROOT / "data" / "generate.py", *(ROOT / "data" / "sql").glob("*.sql")}
    paths |= set(proof.python)
    contents = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in sorted(paths)
        if path.suffix != ".yml"
    }
    for macro in sorted((manifest["macros"][name] for name in macros), key=lambda one: one["name"]):
        path = Path(macro["original_file_path"]).as_posix()
        contents[f"{path}: {macro['name']}"] = macro["macro_sql"].encode()
    for path, content in contents.items():
        if Path(path).stem == PARAMETERS:
            others = b"".join(other for name, other in contents.items() if name != path)
            contents[path] = used_rows(content, others)
    return {path: _hash(path, content) for path, content in contents.items()}


def _hash(path: str, content: bytes) -> str:
    """Comments of SQL and where its lines break say nothing; in Python a line break does."""
    words = content
    if not path.endswith(".py"):
        words = b" ".join(re.sub(rb"(?m)^\s*--.*$", b"", content).split())
    return hashlib.sha256(words).hexdigest()[:12]


def _upstream(
    marts: Sequence[str], manifest: Mapping[str, Any], filled: Sequence[str] = ()
) -> tuple[set[str], set[str]]:
    """The nodes that these marts are built from, themselves included, and the project's macros;
    `filled` models and what these are made of left out."""
    wanted = [
        name
        for name, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["name"] in marts
    ]
    if len(wanted) != len(marts):
        raise LookupError(f"not all of these are models: {', '.join(marts)}")
    nodes: set[str] = set()
    macros: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in nodes or name in macros:
            continue
        if name in manifest["macros"]:
            macro = manifest["macros"][name]
            if macro["package_name"] != "retour":
                continue
            macros.add(name)
            wanted += macro["depends_on"]["macros"]
            continue
        if manifest["nodes"].get(name, {}).get("name") in filled:
            continue
        nodes.add(name)
        depends_on = manifest["nodes"].get(name, {}).get("depends_on", {})
        wanted += [*depends_on.get("nodes", []), *depends_on.get("macros", [])]
    return nodes, macros


def used_rows(content: bytes, others: bytes) -> bytes:
    """The rows of a CSV whose first field, quoted, stands in other files."""
    rows = csv.reader(io.StringIO(content.decode()))
    # value only: a rationale may be reworded
    used = [row[:2] for row in rows if row and f"'{row[0]}'".encode() in others]
    return json.dumps(used).encode()


def changed(stored: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    """The files that are not what they were when a result was computed."""
    before = stored.get("made_of", {})
    return sorted(path for path in {*before, *now} if before.get(path) != now.get(path))


# result files


def read(file: Path) -> dict[str, Any]:
    """A result file, its rows as dicts; {} if there is none."""
    if not file.is_file():
        return {}
    stored = json.loads(file.read_text(encoding="utf-8"))
    columns = stored["columns"]
    stored["worlds"] = {
        name: [dict(zip(columns, row, strict=True)) for row in rows]
        for name, rows in stored["worlds"].items()
    }
    return stored


def write(file: Path, proof: Proof, made_of: dict[str, str], worlds: dict[str, list[Row]]) -> None:
    """Write a result file: a figure per line and a world per line, so that git shows what moved."""
    columns = next((list(rows[0]) for rows in worlds.values() if rows), [])
    rows = {
        name: [[row[column] for column in columns] for row in rows] for name, rows in worlds.items()
    }
    complete = set(worlds) == {world.name for world in proof.worlds}
    parts = {
        "proof": _json(proof.name),
        "claim": _json(proof.claim),
        "made_of": _lines("{}", [f"{_json(path)}: {_json(made_of[path])}" for path in made_of]),
        "figures": _lines("[]", map(_json, plain(proof.pool(worlds)) if complete else [])),
        "columns": _json(columns),
        "worlds": _lines("{}", [f"{_json(name)}: {_json(rows[name])}" for name in rows]),
    }
    text = _lines("{}", [f"{_json(name)}: {part}" for name, part in parts.items()])
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_suffix(".writing")
    scratch.write_text(text + "\n", encoding="utf-8")
    scratch.replace(file)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _lines(brackets: str, items: Any) -> str:
    return brackets[0] + "\n" + ",\n".join(items) + "\n" + brackets[1]


def plain(rows: Sequence[Row]) -> list[Row]:
    """Rows as JSON keeps them: dates as text, floats with ten significant digits."""

    def plain(value: Any) -> Any:
        if isinstance(value, bool | int | str) or value is None:
            return value
        if hasattr(value, "isoformat"):
            return value.isoformat()
        number = float(f"{float(value):.10g}")
        if not math.isfinite(number):
            raise ValueError(f"{number} is no figure")
        return int(number) if number.is_integer() and abs(number) < 2**53 else number

    return [{name: plain(value) for name, value in row.items()} for row in rows]


def update_readme(file: Path, proof: Proof, figures: list[Row]) -> bool:
    """Put a proof's summary between its marks, if the file has them; whether that changed it."""
    before = file.read_text(encoding="utf-8")
    text = re.sub(
        rf"(<!-- figures of {proof.name} -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}\n{proof.summary(figures)}\n\n{match[2]}",
        before,
        flags=re.DOTALL,
    )
    if text != before:
        file.write_text(text, encoding="utf-8")
    return text != before


# running


def fetch(connection: duckdb.DuckDBPyConnection, sql: str, **parameters: Any) -> list[Row]:
    """The rows of a query as dicts."""
    result = connection.execute(sql, parameters or None)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def run(
    proof: Proof,
    manifest: Mapping[str, Any],
    *,
    say: Callable[[str], None] = print,
    only: int | None = None,
) -> dict[str, Any]:
    """Compute all worlds of a proof, or the first few, and write its result file.

    An interrupted run goes on where it stopped as long as no file changed. Raises RuntimeError
    if a file changes under it: the worlds would not belong together. The result of `only` some
    worlds is returned, not written.
    """
    made_of = ingredients(proof, manifest)
    unfinished = CACHE / f"{proof.name}.json"
    stored = read(unfinished)
    rows = {} if changed(stored, made_of) else stored.get("worlds", {})
    chosen = proof.worlds[:only]
    with Workshop(proof.marts, filled=proof.filled) as workshop:
        for number, world in enumerate(chosen, start=1):
            if world.name in rows:
                continue
            started = time.monotonic()
            rows[world.name] = plain(proof.compute(world, workshop))
            now = ingredients(proof, workshop.manifest or manifest)
            if differing := changed({"made_of": made_of}, now):
                raise RuntimeError(f"{proof.name}: changed during the run: {', '.join(differing)}")
            write(unfinished, proof, made_of, rows)
            seconds = time.monotonic() - started
            say(f"{proof.name}: {number} of {len(chosen)}, {world.name}, {seconds:.0f} s")
    worlds = {world.name: rows[world.name] for world in chosen}
    if only is None:
        write(proof.file, proof, made_of, worlds)
        unfinished.unlink(missing_ok=True)
        stored = read(proof.file)
        for readme in READMES:
            update_readme(readme, proof, stored["figures"])
        return stored
    return {"figures": plain(proof.pool(worlds)), "worlds": worlds}


def recompute_subset(
    proof: Proof, ready: Mapping[str, Built] | None = None, say: Callable[[str], None] = print
) -> list[str]:
    """Compute the subset again; each value that is not what is stored, as a sentence."""
    stored = read(proof.file)
    if not stored:
        return [f"{proof.file.name} does not exist: `make proof` writes it"]
    problems = []
    with Workshop(proof.marts, ready, proof.filled) as workshop:
        for name in proof.subset:
            started = time.monotonic()
            found = plain(proof.compute(proof.world(name), workshop))
            problems += [
                f"{proof.name}, {name}: {text}"
                for text in differences(found, stored["worlds"][name])
            ]
            say(f"{proof.name}: {name} again, {time.monotonic() - started:.0f} s")
    return problems


def differences(found: Sequence[Row], stored: Sequence[Row]) -> list[str]:
    """Where two lists of rows differ: in anything, or in numbers by more than a millionth."""
    if len(found) != len(stored):
        return [f"{len(found)} rows, stored are {len(stored)}"]
    return [
        f"row {number}, {column}: {one[column]!r}, stored is {other.get(column)!r}"
        for number, (one, other) in enumerate(zip(found, stored, strict=True))
        for column in one
        if not _same(one[column], other.get(column))
    ]


def _same(one: Any, other: Any) -> bool:
    numbers = all(isinstance(value, int | float) for value in (one, other))
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=2e-6) if numbers else one == other
