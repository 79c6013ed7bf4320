"""The command line: what it prints, its exit codes, and that a failure publishes nothing."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from retour import answers
from retour.build import explain_failures, project_root
from tests.support import ROOT, Build, environment, run

ORDER_LINES = """\
order_id,ordered_at,product_id,quantity,unit_price,customer_id
A1,2025-01-03 10:00:00,lamp,1,20.00,C1
A1,2025-01-03 10:00:00,rug,2,35.50,C1
A2,2025-02-10 09:30:00,lamp,1,20.00,
"""
RETURNS = """\
return_id,order_id,product_id,quantity,returned_at,refund_amount
R1,A1,rug,1,2025-01-20,35.50
"""


def retour(build: Build, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the command line; dbt's artifacts go to the build's own folder."""
    paths = {"DBT_TARGET_PATH": str(build.target), "DBT_LOG_PATH": str(build.target)}
    return run([sys.executable, "-m", "retour", *args], env=environment() | paths)


def build_arguments(build: Build, sources: str) -> list[str]:
    paths = ["--raw", str(build.raw), "--warehouse", str(build.warehouse)]
    return ["build", "--sources", sources, *paths]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, str]:
    """A shop of three order lines, built and published by the command; what it printed."""
    build = Build(tmp_path_factory.mktemp("shop"), sources=("shop",))
    folder = build.raw / "shop"
    folder.mkdir(parents=True)
    (folder / "order_lines.csv").write_text(ORDER_LINES)
    (folder / "returns.csv").write_text(RETURNS)
    result = retour(build, *build_arguments(build, "shop"))
    assert result.returncode == 0, result.stdout + result.stderr
    return build, result.stdout


def test_build_prints_a_line_per_model_and_where_the_result_is(shop: tuple[Build, str]) -> None:
    build, printed = shop
    assert "marts.order_lines" in printed
    assert "Publishing" in printed
    assert str(build.published) in printed
    assert "\x1b" not in printed, "no colours and no cursor movements without a terminal"


def test_build_publishes_its_own_test_results(shop: tuple[Build, str]) -> None:
    build, _ = shop
    with duckdb.connect(str(build.published), read_only=True) as connection:
        tests = connection.execute(
            """
            select count(*), count(*) filter (where run_results.status = 'pass')
            from marts.run_results
            inner join marts.publication on run_results.invocation_id = publication.build_id
            where run_results.resource_type = 'test' and publication.source = 'shop'
            """
        ).fetchall()
        lines = connection.execute("select count(*), sum(net_amount) from marts.order_lines")
        assert [(count, float(amount)) for count, amount in lines.fetchall()] == [(3, 111.0)]
    ((total, passed),) = tests
    assert total == passed > 0


def test_a_failed_build_says_why_and_leaves_the_published_file(shop: tuple[Build, str]) -> None:
    build, _ = shop
    before = build.published.read_bytes()
    result = retour(build, *build_arguments(build, "shpo"))
    assert result.returncode == 1
    assert "shpo" in result.stderr
    assert "shop" in result.stderr, "the nearest source is named"
    assert "Traceback" not in result.stdout + result.stderr
    assert build.published.read_bytes() == before


def test_a_locked_warehouse_is_said_in_plain_words(shop: tuple[Build, str]) -> None:
    build, _ = shop
    hold = f"import duckdb; c = duckdb.connect({str(build.warehouse)!r}); print('open'); input()"
    holder = subprocess.Popen(
        [sys.executable, "-uc", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        result = retour(build, *build_arguments(build, "shop"))
    finally:
        holder.communicate("\n")
    assert result.returncode == 1
    assert f"PID {holder.pid}" in result.stderr
    assert str(build.published) in result.stderr
    # DuckDB 2.0.0's bindings report their own leaks when a process ends after an error
    said = result.stderr.partition("nanobind:")[0]
    assert len(said.strip().splitlines()) <= 3


def test_a_failed_test_is_told_by_name_promise_and_rows() -> None:
    node = SimpleNamespace(
        name="assert_rows_are_conserved",
        resource_type="test",
        description="Every row read is\nsomewhere.",
        original_file_path="dbt_project/tests/assert_rows_are_conserved.sql",
        compiled_path="target/compiled/assert_rows_are_conserved.sql",
    )
    result = SimpleNamespace(node=node, status="fail", failures=2, message="Got 2 results")
    assert explain_failures([result], skipped=7).splitlines() == [
        "Test failed: assert_rows_are_conserved (dbt_project/tests/assert_rows_are_conserved.sql)",
        "  Every row read is somewhere.",
        "  2 rows break this. The query that finds them:"
        " target/compiled/assert_rows_are_conserved.sql",
        "",
        "7 nodes that depend on this were skipped. Nothing was published.",
    ]


def test_the_project_is_found_from_anywhere(tmp_path: Path) -> None:
    assert project_root(ROOT / "dbt_project" / "models") == ROOT
    assert project_root(tmp_path) == ROOT


@pytest.mark.parametrize("command", [[], ["build"], ["publish"], ["demo"]])
def test_every_command_explains_itself(command: list[str]) -> None:
    result = run([sys.executable, "-m", "retour", *command, "--help"])
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: ")


def test_a_date_must_be_a_date() -> None:
    result = run([sys.executable, "-m", "retour", "build", "--as-of-date", "yesterday"])
    assert result.returncode == 2
    assert "yesterday" in result.stderr


def test_make_build_passes_its_variables_on() -> None:
    command = ["make", "-n", "build", "SOURCES=a,b", "RAW=my raw", "WAREHOUSE=w.duckdb"]
    printed = " ".join(run(command).stdout.replace("\\\n", " ").split())
    expected = "retour build --sources 'a,b' --raw 'my raw' --warehouse 'w.duckdb'"
    assert expected in printed


def test_the_demo_prints_each_question_with_its_query_and_answer(demo: Build) -> None:
    printed = answers.render(demo.warehouse)
    for question in answers.QUESTIONS:
        assert f"{question.text}\n\n```sql\n{question.sql.strip()};\n```\n\n| " in printed
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    assert len(rows) > 3 * len(answers.QUESTIONS), "every answer has rows"


def test_answers_line_up_as_markdown() -> None:
    printed = answers.table(["name", "n"], [("a", 1234), (None, 5)])
    assert printed.splitlines() == [
        "| name |     n |",
        "| ---- | ----: |",
        "| a    | 1,234 |",
        "|      |     5 |",
    ]
