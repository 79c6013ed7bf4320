"""Build: `dbt build` in this process, with a progress line per node and errors in plain words.

dbt's own output is switched off; its events drive the progress, and its results the report of
what failed. After a green build the operations marts are refreshed, because the build's own
results are only known when it is over, and the marts are published.
"""

import contextlib
import gc
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from retour import lineage, model_files
from retour.errors import RetourError
from retour.publish import Published, explain_lock, publish, published_path
from retour.settings import DEFAULT_WAREHOUSE, project_vars

QUIET = ("--quiet", "--log-level", "none", "--log-level-file", "none", "--no-use-colors")
# column lineage reads the artifacts of the build; nothing reads those of the other commands
WITHOUT_ARTIFACTS = ("--no-write-json",)
FAILED = ("error", "fail", "runtime error", "partial success")
# after so long without a line, the progress says what is still running
SILENCE_SECONDS = 3


def project_root(start: Path | None = None) -> Path:
    """The folder of the dbt project: the first one upwards from here, else the installed one's."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parent.parent):
        if (folder / "dbt_project.yml").is_file() and (folder / "dbt_project").is_dir():
            return folder
    raise RetourError(f"There is no retour project in {here} or above: run this in a clone of it.")


@dataclass(frozen=True)
class Settings:
    """What to build. None means the project's default; paths are relative to where one stands."""

    sources: tuple[str, ...] | None = None
    raw: Path | None = None
    warehouse: Path | None = None
    as_of_date: str | None = None
    return_window_days: int | None = None
    random_seed: int | None = None
    # fit models anew although nothing changed that they were learnt from
    refit: bool = False

    def dbt_vars(self) -> dict[str, Any]:
        """The dbt vars that differ from the project's defaults."""
        given = {
            "sources": list(self.sources) if self.sources else None,
            "raw": str(self.raw.resolve()) if self.raw else None,
            "warehouse": str(self.warehouse.resolve()) if self.warehouse else None,
            "as_of_date": self.as_of_date,
            "return_window_days": self.return_window_days,
            "random_seed": self.random_seed,
        }
        return {name: value for name, value in given.items() if value is not None}

    def warehouse_path(self, root: Path) -> Path:
        """The warehouse file that this builds."""
        return self.warehouse.resolve() if self.warehouse else root / DEFAULT_WAREHOUSE


def build(settings: Settings, out: TextIO = sys.stdout) -> Published:
    """Build the warehouse, refresh the operations marts and publish.

    Raises RetourError with everything that failed; nothing is published then.
    """
    root = project_root()
    warehouse = settings.warehouse_path(root)
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    if settings.refit:
        shutil.rmtree(warehouse.parent / model_files.FOLDER, ignore_errors=True)
    with working_directory(root), Progress(out) as progress:
        progress.begin("Starting dbt")
        parse = ["parse", *WITHOUT_ARTIFACTS]
        project = run_dbt(parse, settings, warehouse, [progress.event])
        run_dbt(["build"], settings, warehouse, [progress.event], project)
        lineage.refresh(target_path() / "manifest.json", warehouse)
        progress.begin(f"Refreshing the operations marts ({progress.passed()})")
        operations = ["run", "--select", "tag:operations", *WITHOUT_ARTIFACTS]
        run_dbt(operations, settings, warehouse, [], project)
        progress.begin("Publishing")
        published = publish(warehouse)
        progress.say(f"Done: {published.tables} tables, {published.rows:,} rows published")
    return published


def document(settings: Settings) -> Path:
    """Write the documentation site beside the published file; its folder.

    Raises RetourError if there is no warehouse, or dbt cannot read the project.
    """
    from retour import docs

    root = project_root()
    warehouse = settings.warehouse_path(root)
    if not warehouse.is_file():
        raise RetourError(f"There is no warehouse at {warehouse}: run `make demo` or `make build`.")
    site = published_path(warehouse).with_name("docs")
    with working_directory(root):
        run_dbt(["docs", "generate", "--static"], settings, warehouse, [])
        manifest = target_path() / "manifest.json"
        lineage.refresh(manifest, warehouse)
        docs.write_site(target_path() / "static_index.html", manifest, warehouse, site)
    return site


def target_path() -> Path:
    """The folder that dbt, run from here, writes its manifest to."""
    return Path(os.environ.get("DBT_TARGET_PATH") or "target")


def run_dbt(
    command: list[str],
    settings: Settings,
    warehouse: Path,
    callbacks: list[Callable[[Any], None]],
    project: Any = None,
) -> Any:
    """Run one dbt command in this process and release the warehouse file afterwards; its result.

    `project` is what `dbt parse` returned: a command that is given it need not read the files.
    """
    # here, not above: importing dbt takes seconds, in which `retour --help` should have answered
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    # dbt parses everything anew where other vars are given than last time: a default need not be
    defaults = project_vars(Path.cwd())
    given = {
        name: value
        for name, value in settings.dbt_vars().items()
        if name not in defaults or value != defaults[name]
    }
    arguments = [*command, *QUIET, "--vars", json.dumps(given)]
    # dbt keeps the whole project in memory: to look through it for garbage ever again cost a
    # twentieth of a build
    gc.set_threshold(50_000, 20, 20)
    try:
        outcome = dbtRunner(project, callbacks).invoke(arguments)
    finally:
        # else the file stays locked by this very process
        DuckDBConnectionManager.close_all_connections()
    if outcome.success:
        return outcome.result
    if isinstance(outcome.exception, KeyboardInterrupt):
        raise outcome.exception
    if outcome.exception is not None:
        raise RetourError(explain_exception(outcome.exception, warehouse))
    results = [result for result in outcome.result or [] if str(result.status) in FAILED]
    skipped = sum(str(result.status) == "skipped" for result in outcome.result or [])
    raise RetourError(explain_failures(results, skipped))


def explain_exception(error: BaseException, warehouse: Path) -> str:
    """Why dbt could not run at all, without its traceback."""
    text = str(error).strip()
    # dbt wraps the sentence of a database or of landing into its own headline
    text = re.sub(r"\A(Runtime|Database|Compilation|Parsing) Error\s*", "", text).strip()
    lines = [line.removeprefix("  ") for line in text.splitlines()]
    return explain_lock(warehouse, RetourError("\n".join(lines)))


def explain_failures(results: list[Any], skipped: int) -> str:
    """One paragraph per failed node: its name, what it promises, and what was found."""
    paragraphs = [explain_failure(result) for result in results]
    ending = "Nothing was published."
    if skipped:
        ending = f"{skipped} nodes that depend on this were skipped. {ending}"
    return "\n\n".join([*paragraphs, ending])


def explain_failure(result: Any) -> str:
    """Name, description and finding of one failed node."""
    node = result.node
    kind = {"test": "Test", "unit_test": "Unit test", "model": "Model", "seed": "Seed"}.get(
        str(node.resource_type), "Node"
    )
    lines = [f"{kind} failed: {node.name} ({node.original_file_path})"]
    if node.description:
        lines.append(" ".join(node.description.split()))
    if result.failures and str(node.resource_type) == "test":
        rows = "1 row breaks" if result.failures == 1 else f"{result.failures:,} rows break"
        lines.append(f"{rows} this. The query that finds them: {node.compiled_path}")
    elif result.message:
        lines += [line.rstrip() for line in result.message.strip().splitlines()]
    return "\n  ".join(lines)


@dataclass
class Progress:
    """Prints what dbt does: a line per model and seed, tests counted, failures at once.

    A context manager: inside, nothing that takes long is silent.
    """

    out: TextIO = sys.stdout
    started: float = field(default_factory=time.monotonic)
    last: float = field(default_factory=time.monotonic)
    total: int = 0
    finished: int = 0
    passed_tests: int = 0
    phase: str = ""
    running: dict[str, str] = field(default_factory=dict)
    # dbt calls from its worker threads
    lock: threading.RLock = field(default_factory=threading.RLock)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Progress":
        threading.Thread(target=self.break_silence, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()

    def say(self, message: str) -> None:
        """Print one line with the time since the start."""
        with self.lock:
            self.last = time.monotonic()
            print(f"{self.last - self.started:6.1f} s  {message}", file=self.out, flush=True)

    def begin(self, phase: str) -> None:
        """Print what comes next."""
        self.phase = phase
        self.say(phase)

    def break_silence(self) -> None:
        """Say what is running whenever nothing was printed for a while."""
        while not self.over.wait(0.5):
            with self.lock:
                if time.monotonic() - self.last > SILENCE_SECONDS:
                    names = ", ".join(self.running.values())
                    self.say(f"{self.count()} … {names}" if names else f"… {self.phase.lower()}")

    def count(self) -> str:
        """How many of dbt's nodes are finished."""
        return f"[{self.finished:{len(str(self.total))}}/{self.total}]"

    def passed(self) -> str:
        """How many tests passed, in words."""
        return f"{self.passed_tests} tests passed"

    def event(self, event: Any) -> None:
        """dbt's callback."""
        name = event.info.name
        with self.lock:
            if name == "MainReportVersion" and self.phase == "Starting dbt":
                self.begin("Reading the project")
            elif name == "FoundStats":
                self.begin("Landing raw files")
            elif name == "LogStartLine":
                self.total = event.data.total
            elif name == "NodeStart":
                node = event.data.node_info
                self.running[node.unique_id] = node.node_name
            elif name == "NodeFinished":
                self.node_finished(event.data.node_info, event.data.run_result)

    def node_finished(self, node: Any, result: Any) -> None:
        """Count a node and say so if it is worth a line."""
        self.finished += 1
        self.running.pop(node.unique_id, None)
        if node.resource_type != "operation":
            # landing is over; what comes after the last node is dbt's own
            self.phase = "Finishing dbt's run"
        if result.status in FAILED or result.status == "warn":
            self.say(f"{self.count()} {result.status.upper()}  {node.node_name}")
        elif result.status in ("skipped", "no-op"):
            return
        elif node.resource_type in ("test", "unit_test"):
            self.passed_tests += 1
        else:
            relation = f"{node.node_relation.schema}.{node.node_relation.alias}"
            self.say(f"{self.count()} {relation} ({result.execution_time:.1f} s)")


@contextlib.contextmanager
def working_directory(folder: Path) -> Iterator[None]:
    """Run a block with another working directory: dbt takes the project and paths from there."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
