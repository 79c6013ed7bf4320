"""What several test files share: paths, and dbt run as a subprocess on a folder of its own.

dbt runs as a subprocess because a process that has driven dbt cannot open the same warehouse
read-only. Nothing that a test builds touches data/ or target/ of the repository.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
ONLINE_RETAIL_FILE = SHARED / "data" / "online_retail_ii_2009_2010.parquet"


@dataclass(frozen=True)
class Build:
    """One built warehouse: everything it read and wrote lives under `folder`."""

    folder: Path
    sources: tuple[str, ...] = ("demo",)

    @property
    def raw(self) -> Path:
        return self.folder / "raw"

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        return self.folder / "published" / "retour.duckdb"

    @property
    def target(self) -> Path:
        return self.folder / "target"

    @property
    def manifest(self) -> dict:
        """dbt's manifest of the build, with the compiled SQL of every node."""
        return json.loads((self.target / "manifest.json").read_text())

    @property
    def vars(self) -> dict:
        return {
            "sources": list(self.sources),
            "raw": str(self.raw),
            "warehouse": str(self.warehouse),
        }


def environment() -> dict[str, str]:
    """The process environment without the settings that would change what dbt or DuckDB does."""
    return {key: value for key, value in os.environ.items() if not key.startswith("DBT_")}


def run(command: Sequence[str], **options) -> subprocess.CompletedProcess[str]:
    """Run a command from the repository's root and return its output; the exit code is kept."""
    options = {"cwd": ROOT, "env": environment(), "timeout": 1200} | options
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)


def run_dbt(
    args: Sequence[str], vars: dict, *, target: Path, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run `dbt <args>` with these vars; artifacts and logs go to `target`.

    With `check` a failing command fails the test and shows what dbt said.
    """
    result = run(
        [
            *(sys.executable, "-m", "dbt.cli.main", "--no-use-colors"),
            *("--log-level-file", "none"),
            *args,
            *("--vars", json.dumps(vars)),
            *("--target-path", target, "--log-path", target / "logs"),
        ]
    )
    if check and result.returncode:
        raise AssertionError(f"dbt {' '.join(args)} failed:\n{result.stdout}\n{result.stderr}")
    return result


def build(build: Build, *args: str, check: bool = True, **vars) -> subprocess.CompletedProcess[str]:
    """`dbt build` of a Build, with further dbt arguments and vars."""
    return run_dbt(["build", *args], build.vars | vars, target=build.target, check=check)
