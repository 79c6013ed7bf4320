"""The semantic layer: what dbt reads of it, and that MetricFlow's answers equal the marts'."""

import csv
import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from retour import metrics
from tests.support import ROOT, Build, environment

pytestmark = pytest.mark.one_engine

PYTHON = ROOT / ".venv-metrics" / "bin" / "python"
SAVED_QUERIES = ("months", "categories", "costs")


def test_dbt_reads_every_metric(demo: Build) -> None:
    """dbt-core 1.11 passes over the newer form of this YAML without a word."""
    manifest = demo.manifest
    assert len(manifest["metrics"]) == 16
    assert len(manifest["semantic_models"]) == 3
    assert {query["name"] for query in manifest["saved_queries"].values()} == set(SAVED_QUERIES)
    used = {
        metric["name"]
        for query in manifest["saved_queries"].values()
        for metric in manifest["metrics"].values()
        if metric["name"] in query["query_params"]["metrics"]
    }
    parts = {
        part["name"]
        for metric in manifest["metrics"].values()
        for part in (
            metric["type_params"].get("numerator"),
            metric["type_params"].get("denominator"),
        )
        if part
    }
    everything = {metric["name"] for metric in manifest["metrics"].values()}
    assert used | parts == everything, "a metric that no test compares with its mart"


def test_metrics_and_metric_definitions_use_the_same_words(
    demo: Build, marts: duckdb.DuckDBPyConnection
) -> None:
    definitions = dict(
        marts.execute("select metric, definition from marts.metric_definitions").fetchall()
    )
    described = {
        metric["name"]: metric["description"] for metric in demo.manifest["metrics"].values()
    }
    parts_of_rates = {"units_returned", "units_mature", "units_mature_returned"}
    assert described.keys() - definitions.keys() <= parts_of_rates | {"average_predicted_risk"}
    differing = {
        name: (text, definitions[name])
        for name, text in described.items()
        if name in definitions and text != definitions[name]
    }
    assert differing == {}


@pytest.fixture(scope="module")
def answers(demo: Build, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    """What MetricFlow answers to each saved query, asked side by side."""
    if not PYTHON.is_file():
        pytest.skip("no .venv-metrics: `make test` installs it")
    folder = tmp_path_factory.mktemp("metrics")
    running = {}
    for query in SAVED_QUERIES:
        code = (
            "import sys, pathlib; from retour import metrics; sys.exit(metrics.run("
            f"['query', '--saved-query', {query!r}, '--csv', {str(folder / query)!r}],"
            f" pathlib.Path({str(demo.target / 'semantic_manifest.json')!r}),"
            f" pathlib.Path({str(demo.warehouse)!r})))"
        )
        running[query] = subprocess.Popen(
            [PYTHON, "-c", code],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    for query, process in running.items():
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, f"{query}: {output}"
    return {query: list(csv.DictReader((folder / query).open())) for query in SAVED_QUERIES}


def by_key(rows: list[dict], key: str) -> dict[str, dict[str, str]]:
    """Rows by the value of one column, which is left out."""
    return {row[key]: {k: v for k, v in row.items() if k != key} for row in rows if row[key]}


def compare(found: dict[str, dict[str, str]], expected: list[tuple], names: list[str]) -> None:
    """Amounts and counts are equal to the digit, quotients to 12 digits."""
    wanted = {str(key): dict(zip(names, values, strict=True)) for key, *values in expected}
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        for name, value in values.items():
            answer: Any = found[key][name]
            if isinstance(value, float):
                assert float(answer) == pytest.approx(value, rel=1e-12), (key, name)
            elif value is None:
                assert answer == "", (key, name)
            else:
                assert Decimal(answer) == value, (key, name)


def test_metrics_by_month_equal_the_kpis(
    answers: dict[str, list[dict]], marts: duckdb.DuckDBPyConnection
) -> None:
    names = ["order_lines", "orders", "active_customers", "units", "gross_revenue"]
    names += ["refund_amount_by_sale_date", "net_revenue", "aov", "return_rate"]
    expected = marts.execute(
        f"select strftime(month, '%Y-%m-%d 00:00:00'), {', '.join(names)} from marts.kpis_monthly"
    ).fetchall()
    found = by_key(answers["months"], "metric_time__month")
    compare(found, expected, names)
    risks = marts.execute(
        "select strftime(date_trunc('month', ordered_date), '%Y-%m-%d 00:00:00'),"
        " avg(return_probability) from marts.order_return_scores group by 1"
    ).fetchall()
    compare(
        {key: row for key, row in found.items() if row["average_predicted_risk"]},
        risks,
        ["average_predicted_risk"],
    )


def test_metrics_by_category_equal_performance_and_costs(
    answers: dict[str, list[dict]], marts: duckdb.DuckDBPyConnection
) -> None:
    names = ["units", "mature_return_rate"]
    expected = marts.execute(
        f"select category, {', '.join(names)} from marts.category_performance where units > 0"
    ).fetchall()
    compare(by_key(answers["categories"], "order_line__category"), expected, names)
    names = ["return_cost", "net_margin_after_returns"]
    expected = marts.execute(
        "select entity_id, return_cost_mid, net_margin_after_returns from marts.return_costs"
        " where entity_type = 'category'"
    ).fetchall()
    compare(by_key(answers["costs"], "cost_member__category"), expected, names)


def test_metricflow_gets_the_published_file_read_only_under_the_name_of_the_manifest(
    tmp_path: Path,
) -> None:
    manifest = tmp_path / "semantic_manifest.json"
    manifest.write_text(
        json.dumps({"semantic_models": [{"node_relation": {"database": "warehouse"}}]})
    )
    folder = tmp_path / "project"
    folder.mkdir()
    metrics.write_project(folder, manifest, tmp_path / "it's.duckdb")
    output = json.loads((folder / "profiles.yml").read_text())["retour"]["outputs"]["duckdb"]
    assert output["attach"] == [
        {"path": str(tmp_path / "it's.duckdb"), "alias": "warehouse", "read_only": True}
    ]
