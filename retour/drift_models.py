"""The models that watch a warehouse for drift, run without dbt on tables of cells."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import duckdb

from retour.rendering import Project

MODELS = ("int_drift_statistics", "int_drift_judged", "drift_features", "drift_batches")
CHECKS = "drift_checks"
SEEDS = "dbt_project/seeds/policy"
POLICIES = ("policy_parameters", "policy_drift_monitors", "policy_drift_severities")
OTHERS = {
    "ml_drift_classifiers": "source varchar, batch varchar, auc double, auc_lo double, "
    "auc_hi double",
    "model_feature_importance": "source varchar, task varchar, feature varchar, auc_loss double, "
    "auc_alone double",
    "int_return_costs_by_entity": "source varchar, entity_type varchar, return_cost_mid double, "
    "returns bigint, priced_returns bigint",
    "int_drift_comparisons": "source varchar, batch varchar, batch_grain varchar, "
    "batch_start date, batch_end date, as_of_date date, reference varchar, part varchar, "
    "period_grain varchar, period_start date",
    "int_drift_weeks": "source varchar, week_start_date date, moved_share double",
    "int_drift_cells": "source varchar, period_grain varchar, period_start date, "
    "feature varchar, kind varchar, value double, member varchar, lines double, "
    "value_total double",
}


def prepare(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """The tables that the models read besides cells and comparisons: policies, and empty ones."""
    for policy in POLICIES:
        file = str(root / SEEDS / f"{policy}.csv").replace("'", "''")
        connection.execute(f"create or replace table {policy} as from read_csv('{file}')")
    for name, columns in OTHERS.items():
        connection.execute(f"create or replace table {name} ({columns})")
    # late: landing is not needed where only figures are wanted
    from retour.landing.tables import LOG_TABLES

    connection.execute(f"create or replace table {CHECKS} ({LOG_TABLES[CHECKS]})")


@cache
def project_of(root: Path) -> Project:
    """The macros and models; nothing of drift in files is drawn by the seed."""
    return Project(root, {"random_seed": 42})


def run_models(
    connection: duckdb.DuckDBPyConnection, root: Path, models: Sequence[str] = MODELS
) -> None:
    """Run the models on int_drift_cells and int_drift_comparisons, each into a table."""
    project = project_of(root)
    for model in models:
        connection.execute(f"create or replace table {model} as {project.model(model)}")


def grids(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    quartiles: Sequence[tuple[float | None, ...]],
) -> list[tuple[float, float]]:
    """Centre and spread of the steps of each number, of its quartiles and standard deviation."""
    spread = project.text("{{ drift_spread('q1', 'q2', 'q3', 'deviation') }}")
    found = []
    for row in quartiles:
        found += connection.execute(
            "select round(coalesce(q2, 0) / spread) * spread, spread from ("
            f"select q2, {spread} as spread from (select ?::double as q1, ?::double as q2, "
            "?::double as q3, ?::double as deviation))",
            list(row),
        ).fetchall()
    return found


def cell_of(project: Project, value: str, grid: tuple[float, float], cells: int) -> str:
    """SQL: the number of the step that a value falls into."""
    centre, spread = grid
    return project.names["drift_cell"](value, f"({centre!r})", repr(spread), cells).strip()
