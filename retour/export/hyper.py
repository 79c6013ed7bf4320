"""Tableau: one extract (.hyper) with all tables, and a manifest.

Tableau's own engine writes it, from Parquet and with the types of the contracts. pantab was the
alternative; it refuses decimals between -0.1 and 0 (5.3.0), and brings pyarrow along.
"""

from dataclasses import replace
from decimal import Decimal
from functools import reduce

from tableauhyperapi import Connection, CreateMode, HyperException, HyperProcess, Telemetry

from retour.export import Job
from retour.export.contract import (
    EXACTLY,
    Column,
    Figures,
    Table,
    figures_of,
    figures_query,
)
from retour.export.files import without_nul
from retour.export.folder import replacing
from retour.publish import literal, quoted

ERRORS = (HyperException,)
NAME = "retour.hyper"
# numbers of 38 digits need this version of the file, which Tableau reads since 2022.4
PROCESS = {"default_database_version": "3", "log_config": ""}
TYPES = {"VARCHAR": "text", "DOUBLE": "double precision", "FLOAT": "double precision"}
TYPES |= {"TINYINT": "smallint", "DECIMAL": "numeric"}


def write(job: Job) -> None:
    """Export to a Tableau extract."""
    with replacing(job, "as they are") as folder:
        file = folder.path / NAME
        with (
            HyperProcess(Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters=PROCESS) as hyper,
            Connection(hyper.endpoint, str(file), CreateMode.CREATE) as connection,
        ):
            for schema in sorted({table.schema for table in job.tables}):
                connection.execute_command(f"create schema {quoted(schema)}")
            for table in job.tables:
                expected = job.source.figures(table)
                with job.exporting(table, expected) as arrived:
                    name = f"{quoted(table.schema)}.{quoted(table.name)}"
                    connection.execute_command(definition(table, name))
                    load(job, table, connection, name)
                    arrived(figures(connection, table, name))
                folder.add(table, file, expected)
        # Hyper lets nobody else read it
        file.chmod(0o644)


def definition(table: Table, name: str) -> str:
    """CREATE TABLE with the types of the contract."""
    lines = [
        f"{column.quoted} {kind(column)}{' not null' if column.is_required else ''}"
        for column in table.columns
    ]
    if table.key:
        lines.append(f"assumed primary key ({', '.join(map(quoted, table.key))})")
    return f"create table {name} ({', '.join(lines)})"


def load(job: Job, table: Table, connection: Connection, name: str) -> None:
    """Load a table from Parquet."""
    spooled = job.spool / "table.parquet"
    values = ", ".join(
        f"{without_nul(column)} as {column.quoted}" if column.is_text else column.quoted
        for column in table.columns
    )
    job.source.connection.execute(
        f"copy (select {values} from {job.source.relation(table)})"
        f" to {literal(spooled)} (format parquet)"
    )
    columns = ", ".join(column.quoted for column in table.columns)
    place = literal(str(spooled))
    connection.execute_command(
        f"insert into {name} select {columns} from external({place}, format => 'parquet')"
    )


def figures(connection: Connection, table: Table, name: str) -> Figures:
    """The figures of a loaded table; like DuckDB, Hyper cannot add up numbers of 38 digits."""
    columns = [c if c.adds_up else replace(c, type="DOUBLE") for c in table.columns]
    (row,) = connection.execute_list_query(figures_query(columns, name))
    exact = iter(row[1 + len(columns) :])
    sums = []
    for column in table.columns:
        if not column.is_exact:
            continue
        if column.adds_up:
            sums.append(next(exact))
            continue
        values = connection.execute_list_query(
            f"select {column.quoted} from {name} where {column.quoted} is not null"
        )
        numbers = [Decimal(str(value)) for (value,) in values]
        sums.append(reduce(EXACTLY.add, numbers) if numbers else None)
    return figures_of(table.columns, [*row[: 1 + len(columns)], *sums])


def kind(column: Column) -> str:
    """The type of a column in Hyper."""
    name, bracket, rest = column.type.partition("(")
    return TYPES.get(name, name.lower()) + bracket + rest
