"""Same input, same marts: whatever the order of rows, threads, environment, or earlier builds.

One hash per mart is compared; `support.mart_hashes` says what is left out and why.
"""

import random
import shutil
from pathlib import Path

import duckdb
import pytest

from tests import support
from tests.support import Build

# Each of these has changed what some program prints or parses.
STRANGE_ENVIRONMENT = {
    "TZ": "Asia/Kolkata",
    "LANG": "tr_TR.UTF-8",
    "LC_ALL": "tr_TR.UTF-8",
    "PYTHONHASHSEED": "1",
}


@pytest.fixture(scope="module")
def one_thread(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """dbt arguments for one thread in dbt and in DuckDB, where the default is two in both."""
    profile = (support.ROOT / "profiles.yml").read_text(encoding="utf-8")
    options = "      config_options:\n"
    assert options in profile
    folder = tmp_path_factory.mktemp("one_thread")
    (folder / "profiles.yml").write_text(
        profile.replace(options, f"{options}        threads: 1\n"), encoding="utf-8"
    )
    return ["--threads", "1", "--profiles-dir", str(folder)]


def shuffled(file: Path) -> list[str]:
    """The lines of a CSV file without quoted line ends: the header, the others in random order."""
    header, *lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(file.name).shuffle(lines)
    return [header, *lines]


def test_neither_order_files_threads_environment_nor_earlier_builds_matter(
    demo: Build, online_retail: Build, one_thread: list[str], tmp_path: Path
) -> None:
    """All at once, because a build is dear: a mart that differs names itself, and one that is the
    same depends on none of them. The warehouse held another source before.

    An order stays in one file: equal lines in two files are one line delivered twice.
    """
    other = Build(tmp_path)
    shutil.copy(online_retail.warehouse, other.warehouse)
    folder = other.raw / "demo"
    folder.mkdir(parents=True)
    for file in (demo.raw / "demo").iterdir():
        lines = shuffled(file)
        if file.name != "order_lines.csv":
            (folder / file.name).write_text("".join(lines), encoding="utf-8")
            continue
        header, *rest = lines
        halves: tuple[list[str], list[str]] = ([], [])
        for line in rest:
            order_id = line.split(",")[1] if "," in line else ""
            halves[sum(order_id.encode()) % 2].append(line)
        for number, half in enumerate(halves, start=1):
            assert len(half) > len(rest) / 3
            name = f"order_lines_{number}.csv"
            (folder / name).write_text("".join([header, *half]), encoding="utf-8")
    support.build(other, *support.WITHOUT_UNIT_TESTS, *one_thread, env=STRANGE_ENVIRONMENT)
    support.assert_same_marts(other, demo)


def test_the_real_file_shuffled_on_one_thread(
    online_retail: Build, one_thread: list[str], tmp_path: Path
) -> None:
    other = Build(tmp_path, sources=online_retail.sources)
    folder = other.raw / "online_retail"
    folder.mkdir(parents=True)
    # under its old name, so that even row_reconciliation must be the same
    target = folder / support.ONLINE_RETAIL_FILE.name
    duckdb.execute(
        f"copy (select * exclude (file_row_number) from read_parquet("
        f"'{support.ONLINE_RETAIL_FILE}', file_row_number = true) "
        f"order by md5('shuffled ' || file_row_number)) to '{target}'"
    )
    support.build(other, *support.WITHOUT_UNIT_TESTS, *one_thread)
    support.assert_same_marts(other, online_retail)
    reconciliation = "from marts.row_reconciliation order by all"
    assert support.query(other, reconciliation) == support.query(online_retail, reconciliation)
