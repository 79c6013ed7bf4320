"""The repository's promises about itself: README, make, locks, documentation."""

import re
import subprocess
import tomllib
from pathlib import Path

import duckdb
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from retour import answers, cli
from tests.support import ROOT, Build

MARKDOWN = sorted([*ROOT.glob("*.md"), *ROOT.glob("dbt_project/**/*.md"), *ROOT.glob("docs/*.md")])
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def read(name: str) -> str:
    return (ROOT / name).read_text()


def make_targets() -> dict[str, str]:
    """Every target of the Makefile with its description, '' if it has none."""
    found = re.findall(r"^([a-z][a-z-]*):[^=\n#]*(?:## (.*))?$", read("Makefile"), re.MULTILINE)
    return dict(found)


# README and make


def test_readme_is_at_most_150_lines() -> None:
    assert len(read("README.md").splitlines()) <= 150


def test_readme_holds_the_answers_that_the_demo_prints(demo: Build) -> None:
    block = read("README.md").partition(answers.BEGIN)[2].partition(answers.END)[0]
    assert block.strip() == answers.render(demo.warehouse, answers.QUESTIONS[:1]).strip()


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_make_targets_exist_and_links_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    named = set(re.findall(r"`make ([a-z]+)", text)) | set(
        re.findall(r"^\s*make ([a-z]+)", text, re.MULTILINE)
    )
    assert named <= set(make_targets())
    links = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", text)
    # pages that `make docs` writes stand beside each other in the site
    links = [link for link in links if link != "lineage.html"]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_command_is_documented() -> None:
    documented = "\n".join(path.read_text() for path in MARKDOWN)
    for command in cli.main.commands:
        assert re.search(rf"`(make|retour) {command}\b|^\s*make {command}\b", documented, re.M)


def test_every_make_target_says_what_it_does_and_help_prints_it() -> None:
    targets = make_targets()
    assert [name for name, description in targets.items() if not description] == []
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name, description in targets.items():
        assert re.search(rf"make {name} +{re.escape(description)}", printed)


def test_ci_runs_make_targets_and_nothing_else() -> None:
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    steps = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    commands = [line for line in read(".ci/run").splitlines() if re.match(r"[a-z]+ [^.]", line)]
    for command in [*steps, *(line for line in commands if not line.startswith(("set ", "cd ")))]:
        program, target, *_ = command.split()
        assert program == "make"
        assert target in make_targets()


# locks


def test_locks_pin_every_package_with_hashes_and_name_no_host() -> None:
    assert LOCKS
    for lock in LOCKS:
        text = lock.read_text()
        assert not re.search(r"https?:|file:|@|--(extra-)?index-url|--find-links", text)
        for requirement in re.split(r"\n(?=\S)", text.strip()):
            assert re.match(r"\S+==\S+( ; [^\n]+)? \\\n", requirement), requirement[:80]
            assert "--hash=sha256:" in requirement


def test_the_lock_holds_what_pyproject_asks_for() -> None:
    project = tomllib.loads(read("pyproject.toml"))
    groups = project["dependency-groups"]
    for lock, wanted in {
        "retour.txt": project["project"]["dependencies"] + groups["test"],
        "lint.txt": groups["lint"],
        "metrics.txt": groups["metrics"],
    }.items():
        found = re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", read(f"requirements/{lock}"), re.M)
        pinned = {canonicalize_name(name): version for name, version in found}
        for text in wanted:
            requirement = Requirement(text)
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{lock}: {requirement} has {version}"
    assert "\nduckdb==1.5.6 " in read("requirements/retour.txt")


def test_tracked_files_are_small_and_free_of_built_data() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("this is no git checkout")
    for name in tracked.stdout.split("\0"):
        path = ROOT / name
        if name and path.is_file():
            # the chart library is somebody else's, as released (DECISIONS: report)
            limit = 1_250_000 if name.startswith("reports/vendor/") else 1_000_000
            assert path.stat().st_size < limit, name
            assert path.suffix not in {".duckdb", ".parquet", ".gz"}, name


# the dbt project


def test_every_var_is_documented() -> None:
    names = yaml.safe_load(read("dbt_project.yml"))["vars"]
    documented = "\n".join(path.read_text() for path in MARKDOWN)
    assert [name for name in [*names, "warehouse"] if f"`{name}`" not in documented] == []


def test_every_model_has_its_properties_in_a_file_of_its_own_name() -> None:
    models = [
        path
        for folder in ("dbt_project/models", "python_models")
        for suffix in ("sql", "py")
        for path in (ROOT / folder).rglob(f"*.{suffix}")
    ]
    assert models
    assert [path.name for path in models if not path.with_suffix(".yml").is_file()] == []


def test_every_relation_and_column_in_the_warehouse_is_described(
    demo: Build, marts: duckdb.DuckDBPyConnection
) -> None:
    described = described_columns(demo.manifest)
    built = marts.execute(
        """
        select schema_name || '.' || table_name as relation, list(column_name) as columns
        from duckdb_columns()
        where database_name = current_database() and not internal
        group by all
        """
    ).fetchall()
    missing = [
        f"{relation}.{column}"
        for relation, columns in built
        for column in columns
        if relation in described and column not in described[relation]
    ]
    assert missing == []
    stray = {relation for relation, _ in built if not relation.startswith("raw.")} - set(described)
    assert stray == set(), "in the warehouse, but no model or seed of this project"


def described_columns(manifest: dict) -> dict[str, set[str]]:
    """Relation (schema.name) -> its described columns; fails on an undescribed model."""
    described = {}
    for node in [*manifest["nodes"].values(), *manifest["sources"].values()]:
        if node["resource_type"] not in {"model", "seed", "source"}:
            continue
        assert node["description"].strip(), f"{node['name']} has no description"
        columns = {name for name, column in node["columns"].items() if column["description"]}
        described[f"{node['schema']}.{node.get('alias') or node['identifier']}"] = columns
    return described


def test_every_mart_is_public_contracted_and_keyed(
    demo: Build, marts: duckdb.DuckDBPyConnection
) -> None:
    nodes = [
        node
        for node in demo.manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] in {"marts", "reports"}
    ]
    assert nodes
    for mart in nodes:
        columns = mart["columns"].values()
        keys = [
            *mart["constraints"],
            *(constraint for column in columns for constraint in column["constraints"]),
        ]
        assert mart["contract"]["enforced"], mart["name"]
        assert mart["access"] == "public", mart["name"]
        assert mart["group"], mart["name"]
        has_key = any(key["type"] == "primary_key" for key in keys)
        declared = mart["config"]["meta"].get("key", [])
        assert has_key != bool(declared), f"{mart['name']}: one key, constraint or meta.key"
        assert mart["description"].startswith("One row per "), mart["name"]
        if declared:
            assert mart["unique_id"] in asserted_by(demo.manifest, f"assert_{mart['name']}")
            columns = ", ".join(declared)
            filled = " and ".join(f"{column} is not null" for column in declared)
            counts = marts.execute(
                f"select count(*), count(distinct ({columns})), count(*) filter ({filled})"
                f" from {mart['schema']}.{mart['name']}"
            ).fetchall()
            assert len(set(counts[0])) == 1, f"{mart['name']}: {declared} is no key"


def asserted_by(manifest: dict, name: str) -> list[str]:
    """The models that a singular test of this name reads."""
    return manifest["nodes"].get(f"test.retour.{name}", {"depends_on": {"nodes": []}})[
        "depends_on"
    ]["nodes"]
