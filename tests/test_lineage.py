"""Column lineage: hand-written edges, a second implementation, and no mart column from nowhere."""

import json
import re
from pathlib import Path

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from sqlglot.lineage import lineage as sqlglot_lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope
from sqlglot.schema import MappingSchema

from retour import lineage
from tests.support import Build

Sources = dict[tuple[str, str, str], str]

COLUMNS = {
    ("raw", "lines"): ["line_id", "customer", "day", "amount", "kind"],
    ("raw", "people"): ["customer", "name"],
    ("marts", "m"): ["a", "b", "c"],
}


def trace(sql: str, columns: list[str] | None = None) -> dict[str, set[str]]:
    """What each column of a query over COLUMNS is made from: `table.column transformation`."""
    columns = columns or ["a", "b", "c"]
    model = lineage.Model("marts", "m", sql, (("raw", "lines"), ("raw", "people")))
    with duckdb.connect() as connection:
        found = lineage.edges(connection, [model], COLUMNS | {("marts", "m"): columns})
    sources: dict[str, set[str]] = {}
    for edge in found:
        sources.setdefault(edge.target_column, set()).add(
            f"{edge.source_table}.{edge.source_column} {edge.transformation}"
        )
    return sources


# the walk, on queries whose lineage anybody can read off


def test_values_are_followed_through_ctes_and_joins_but_conditions_are_not_sources() -> None:
    assert trace(
        """
        with kept as (select *, amount * 2 as twice from raw.lines where kind = 'sale'),
        named as (select kept.customer as who, kept.twice, people.name
                  from kept left join raw.people on kept.customer = people.customer)
        select who as a, sum(twice) as b, max(name) as c from named group by who
        """
    ) == {
        "a": {"lines.customer copied"},
        "b": {"lines.amount aggregated"},
        "c": {"people.name aggregated"},
    }


def test_parts_of_a_union_belong_together_by_place_and_the_strongest_step_counts() -> None:
    assert trace(
        """
        select line_id as a, amount as b, 'x' as c from raw.lines
        union all
        select customer, -amount, kind from raw.lines
        """
    ) == {
        "a": {"lines.line_id copied", "lines.customer copied"},
        "b": {"lines.amount computed"},
        "c": {"lines.kind copied"},
    }


def test_windows_counted_rows_and_subqueries() -> None:
    assert trace(
        """
        select
            row_number() over (partition by customer order by day) as a,
            (select max(people.name) from raw.people where people.customer = lines.customer) as b,
            exists (select 1 from raw.people where people.customer = lines.customer) as c
        from raw.lines
        """
    ) == {
        "a": {"lines.customer windowed", "lines.day windowed"},
        "b": {"people.name aggregated"},
        "c": {"people.* computed"},
    }
    assert trace(
        "select customer as a, count(*) as b, 1 as c from raw.lines group by customer"
    ) == {
        "a": {"lines.customer copied"},
        "b": {"lines.* aggregated"},
    }
    assert trace("select sum(count(*)) over () as a from raw.lines, raw.people") == {
        "a": {"lines.* aggregated", "people.* aggregated"}
    }


def test_stars_using_values_recursion_and_table_functions() -> None:
    assert trace(
        "select * exclude (day, amount, kind) from raw.lines", ["line_id", "customer"]
    ) == {"line_id": {"lines.line_id copied"}, "customer": {"lines.customer copied"}}
    assert trace(
        "select customer as a, name as b from raw.lines full join raw.people using (customer)"
    ) == {
        "a": {"lines.customer computed", "people.customer computed"},
        "b": {"people.name copied"},
    }
    assert trace(
        """
        with recursive steps as (
            select line_id, amount as total from raw.lines
            union all
            select line_id, total + 1 from steps where total < 3
        )
        select line_id as a, total as b from steps
        """
    ) == {"a": {"lines.line_id copied"}, "b": {"lines.amount computed"}}
    assert trace("select part as a from raw.lines, unnest([amount, line_id]) as u (part)") == {
        "a": {"lines.amount computed", "lines.line_id computed"}
    }
    assert trace("select v.x as a, kind as b from raw.lines, (values (1), (2)) as v (x)") == {
        "b": {"lines.kind copied"}
    }


def test_what_cannot_be_followed_is_said_to_come_from_whole_tables() -> None:
    whole = {"lines.* untraced", "people.* untraced"}
    for sql in (None, "select no_such_column as a from raw.lines", "this is no SQL"):
        model = lineage.Model("marts", "m", sql, (("raw", "lines"), ("raw", "people")))
        with duckdb.connect() as connection:
            found = lineage.edges(connection, [model], COLUMNS | {("marts", "m"): ["a"]})
        assert {f"{e.source_table}.{e.source_column} {e.transformation}" for e in found} == whole


# the project itself


@pytest.fixture(scope="module")
def project(demo: Build, marts: duckdb.DuckDBPyConnection) -> tuple[list, dict, dict]:
    """The models of the demo, the columns of its warehouse, and the edges by target."""
    models = lineage.models(demo.manifest)
    columns = lineage.warehouse_columns(marts)
    targets: dict[tuple[str, str, str], Sources] = {}
    for edge in lineage.edges(marts, models, columns):
        sources = targets.setdefault(
            (edge.target_schema, edge.target_table, edge.target_column), {}
        )
        sources[edge.source_schema, edge.source_table, edge.source_column] = edge.transformation
    return models, columns, targets


def test_known_edges_of_the_project(project: tuple) -> None:
    """Written down by reading the models: a rename, sums, a macro, a window, a subquery, a fit."""
    _, _, targets = project
    assert targets["marts", "kpis_monthly", "net_revenue"] == {
        ("marts", "kpis_daily", "gross_revenue"): "aggregated",
        ("marts", "kpis_daily", "refund_amount_by_sale_date"): "aggregated",
    }
    assert targets["marts", "seller_risk", "seller_id"] == {
        ("intermediate", "int_risk_assessed", "entity_id"): "copied"
    }
    # through the macro of funnel limits, whose limit is a policy read by a scalar subquery
    assert targets["marts", "seller_risk", "funnel_inner_lo"] == {
        ("intermediate", "int_risk_assessed", "funnel_variance"): "computed",
        ("policy", "policy_funnel_limits", "z"): "aggregated",
    }
    assert targets["marts", "metric_definitions", "unit"] == {
        ("policy", "policy_metrics", "unit"): "copied"
    }
    fitted = targets["private", "ml_churn", "value"]
    assert fitted["intermediate", "int_churn_features", "*"] == "untraced"
    assert {column for _, _, column in fitted} == {"*"}


def test_every_sql_model_is_traced(project: tuple) -> None:
    models, columns, targets = project
    python = {(model.schema, model.table) for model in models if model.sql is None}
    untraced = {target[:2] for target, sources in targets.items() if "untraced" in sources.values()}
    assert untraced == python
    assert len(models) - len(python) > 150
    assert {(model.schema, model.table) for model in models} <= set(columns)


def test_a_second_implementation_finds_the_same_sources(project: tuple) -> None:
    """sqlglot, with its own parser, column by column; it does not tell of counted rows."""
    models, columns, targets = project
    tables: dict[str, dict] = {}
    for (schema, table), names in columns.items():
        tables.setdefault(schema, {})[table] = dict.fromkeys(names, "text")
    known = MappingSchema(tables, dialect="duckdb")
    differing, compared = [], 0
    for model in models:
        if model.sql is None:
            continue
        tree = sqlglot.parse_one(model.sql, dialect="duckdb")
        for table in tree.find_all(exp.Table):
            table.set("catalog", None)
        tree = qualify(
            tree, schema=known, dialect="duckdb", validate_qualify_columns=False, identify=False
        )
        scope = build_scope(tree)
        for column in columns[model.schema, model.table]:
            root = sqlglot_lineage(
                column, tree, known, scope=scope, dialect="duckdb", trim_selects=False, copy=False
            )
            theirs = {
                (node.source.db, node.source.name, node.name.split(".")[-1].strip('"'))
                for node in root.walk()
                if isinstance(node.source, exp.Table) and not node.downstream
            }
            ours = set(targets.get((model.schema, model.table, column), {}))
            compared += len(ours)
            if {s for s in theirs if s[2] != "*"} != {s for s in ours if s[2] != "*"}:
                differing.append((model.table, column, theirs ^ ours))
    assert differing == []
    assert compared > 5_000


def test_a_mart_column_from_nowhere_holds_only_what_its_sql_spells_out(
    project: tuple, demo: Build, marts: duckdb.DuckDBPyConnection
) -> None:
    _, columns, targets = project
    spelled = " ".join(node.get("compiled_code") or "" for node in demo.manifest["nodes"].values())
    constants = [
        (schema, table, column)
        for (schema, table), names in columns.items()
        if schema in ("marts", "reports")
        for column in names
        if (schema, table, column) not in targets
    ]
    assert constants
    for schema, table, column in constants:
        values = marts.execute(f"select distinct {column} from {schema}.{table}").fetchall()
        assert len(values) <= 25, f"{table}.{column} has no source but many values"
        # numbers in a text may be counted: p >= 0.90
        parts = {
            part
            for (value,) in values
            if isinstance(value, str)
            for part in re.split(r"[\d.]+", value)
        }
        assert [part for part in parts if part not in spelled] == [], f"{table}.{column}"


def test_every_mart_column_leads_back_to_raw_files_policies_or_constants(project: tuple) -> None:
    _, columns, targets = project
    tables: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for (schema, table, _), sources in targets.items():
        tables.setdefault((schema, table), set()).update(source[:2] for source in sources)
    for start in (name for name in columns if name[0] == "marts"):
        reached, ahead = set(), [start]
        while ahead:
            for source in tables.get(ahead.pop(), ()):
                if source not in reached:
                    reached.add(source)
                    ahead.append(source)
        ends = {name for name in reached if name not in tables}
        assert {schema for schema, _ in ends} <= {"raw", "policy"}, start
        assert ends, start


def test_lineage_is_computed_once_per_state_of_the_code_and_lands(
    demo: Build, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "create schema raw; create schema marts; create table raw.lines (line_id bigint);"
            "create table marts.lines (line_id bigint)"
        )
    node = {
        "resource_type": "model",
        "language": "sql",
        "schema": "marts",
        "alias": "lines",
        "compiled_code": "select line_id from raw.lines",
        "depends_on": {"nodes": []},
    }
    manifest = tmp_path / "manifest.json"
    folder = tmp_path / "ops" / "column_lineage"

    def rows() -> list[tuple]:
        return duckdb.execute("from read_parquet(?)", [str(folder / "*.parquet")]).fetchall()

    manifest.write_text(json.dumps({"nodes": {"m": node}, "sources": {}}))
    assert lineage.refresh(manifest, warehouse)
    assert rows() == [("marts", "lines", "line_id", "raw", "lines", "line_id", "copied")]
    assert not lineage.refresh(manifest, warehouse)
    node["compiled_code"] = "select line_id + 1 as line_id from raw.lines"
    manifest.write_text(json.dumps({"nodes": {"m": node}, "sources": {}}))
    assert lineage.refresh(manifest, warehouse)
    assert rows() == [("marts", "lines", "line_id", "raw", "lines", "line_id", "computed")]
    assert len(list(folder.iterdir())) == 1
