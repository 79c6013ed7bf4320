"""Fixtures: the demo and the real file, each built at most once per test session."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import duckdb
import pytest
from playwright.sync_api import Browser

from reports import screens
from tests import support


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `one_engine` run on the locked DuckDB only."""
    project = (support.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (locked,) = re.findall(r"constraint-dependencies = \[\"duckdb==([^\"]+)\"", project)
    if duckdb.__version__ == locked:
        return
    skipped = pytest.mark.skip(
        reason=f"one_engine: it tells nothing of DuckDB and runs on {locked} only"
    )
    for item in items:
        if item.get_closest_marker("one_engine"):
            item.add_marker(skipped)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> support.Build:
    """`dbt build` on a machine without raw files: landing generates the demo first. All tests run,
    also the unit tests, which plain `dbt build` leaves out (selectors.yml).

    Other tests hold it open, so nothing may write to it: copy the warehouse first.
    """
    build = support.Build(tmp_path_factory.mktemp("demo"))
    support.build(build, "--select", "*")
    return build


@pytest.fixture(scope="session")
def marts(demo: support.Build) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to the demo warehouse."""
    with duckdb.connect(str(demo.warehouse), read_only=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def online_retail(tmp_path_factory: pytest.TempPathFactory) -> support.Build:
    """The real Online Retail II file, as published, built end to end."""
    if not support.ONLINE_RETAIL_FILE.exists():
        pytest.skip("the Online Retail II file is not beside this repository (../shared/data)")
    build = support.Build(tmp_path_factory.mktemp("online_retail"), sources=("online_retail",))
    folder = build.raw / "online_retail"
    folder.mkdir(parents=True)
    shutil.copy(support.ONLINE_RETAIL_FILE, folder)
    support.build(build, *support.WITHOUT_UNIT_TESTS)
    return build


@pytest.fixture(scope="session")
def online_retail_marts(online_retail: support.Build) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to the warehouse of the real file."""
    with duckdb.connect(str(online_retail.warehouse), read_only=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> support.Build:
    """The small shop of support.SHOP, whose every row is valid."""
    build = support.Build(tmp_path_factory.mktemp("shop"), sources=("shop",))
    support.write_shop(build.raw / "shop")
    support.build(build, *support.WITHOUT_UNIT_TESTS)
    return build


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    """Debian's chromium, headless, for everything that is a page.

    One per file of tests, not per session: as long as it is open, Playwright's event loop runs in
    this thread, and asyncio.run (tests of the service) refuses to work beside another one.
    """
    try:
        screens.chromium()
    except FileNotFoundError as error:
        install = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
        sudo = ["sudo", "--non-interactive"] if os.geteuid() and shutil.which("sudo") else []
        done = shutil.which("apt-get") and not subprocess.run([*sudo, *install]).returncode
        if not done and not os.environ.get("CI"):
            pytest.skip(str(error))
    with screens.browser() as browser:
        yield browser
