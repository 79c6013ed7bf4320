"""Fixtures: the demo and the real file, each built at most once per test session."""

import shutil
from collections.abc import Iterator

import duckdb
import pytest

from tests import support


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> support.Build:
    """Plain `dbt build` on a machine without raw files: landing generates the demo first.

    Other tests hold it open, so nothing may write to it: copy the warehouse first.
    """
    build = support.Build(tmp_path_factory.mktemp("demo"))
    support.build(build)
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
