"""Asking the semantic layer: MetricFlow on the published file (`make metrics`).

MetricFlow lives in an environment of its own, and it wants a dbt project that it can open for
itself. It gets a small one: the semantic manifest that dbt wrote, and a profile that attaches the
published file, read-only, under the name that the manifest gives the warehouse.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = 'name: retour\nversion: "1.0"\nprofile: retour\n'


def profile(file: Path, name: str) -> str:
    """A dbt profile (JSON is YAML) in which `file` is the database `name`, read-only."""
    output = {
        "type": "duckdb",
        "path": ":memory:",
        "schema": "main",
        "threads": 1,
        "attach": [{"path": str(file.resolve()), "alias": name, "read_only": True}],
    }
    return json.dumps({"retour": {"target": "duckdb", "outputs": {"duckdb": output}}})


def database(manifest: Path) -> str:
    """The name that a semantic manifest gives the warehouse."""
    models = json.loads(manifest.read_text(encoding="utf-8"))["semantic_models"]
    return models[0]["node_relation"]["database"]


def write_project(folder: Path, manifest: Path, file: Path) -> None:
    """Write what MetricFlow needs to answer from `file`."""
    (folder / "target").mkdir()
    shutil.copy(manifest, folder / "target" / "semantic_manifest.json")
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(profile(file, database(manifest)))


def run(arguments: list[str], manifest: Path, file: Path) -> int:
    """Run `mf` with these arguments; its exit code. Paths among them are from where one stands."""
    here = Path.cwd()
    arguments = list(arguments)
    if "--csv" in arguments:
        place = arguments.index("--csv") + 1
        arguments[place] = str(here / arguments[place])
    with tempfile.TemporaryDirectory() as folder:
        write_project(Path(folder), manifest, file)
        mf = Path(sys.executable).with_name("mf")
        settings = {key: value for key, value in os.environ.items() if not key.startswith("DBT_")}
        settings |= {"DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
        return subprocess.run([mf, *arguments], cwd=folder, env=settings).returncode


if __name__ == "__main__":
    published = Path("data/published/retour.duckdb")
    if not published.is_file():
        sys.exit(f"There is no {published}: run `make demo` or `make build` first.")
    sys.exit(
        run(sys.argv[1:] or ["list", "metrics"], Path("target/semantic_manifest.json"), published)
    )
