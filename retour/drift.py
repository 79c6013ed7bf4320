"""`retour drift`: has one file or table moved against another?

Counts the values of every column and runs the very models that watch the weeks of a warehouse
(int_drift_statistics to drift_batches), rendered without dbt.
"""

import datetime as dt
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from retour.drift_models import CHECKS, prepare, run_models, step_of
from retour.errors import RetourError
from retour.settings import did_you_mean

GRAIN = "check"
# above so many rows values are counted in steps, as in the warehouse
EXACT_ROWS = 100_000
# a text with more members than this, most of them rare, names a row and is no category
MOST_MEMBERS = 1_000
# labels that a baseline may have, the first that is there
LABELS = ("returned", "is_returned", "label_is_returned", "return_flag")
TEXTS = (".csv", ".csv.gz", ".tsv", ".txt")
NUMBERS = re.compile(r"^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*|BOOLEAN)$")


@dataclass(frozen=True)
class Column:
    """A column that is compared: number or category, and why not, where it is not."""

    name: str
    kind: str | None
    reason: str | None = None


@dataclass(frozen=True)
class Check:
    """A check: drift_features, drift_batches and what led there are tables in `connection`."""

    connection: duckdb.DuckDBPyConnection
    columns: tuple[Column, ...]
    label: str | None

    def rows(self, sql: str) -> list[dict]:
        """The rows of a query as dicts."""
        result = self.connection.execute(sql)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def check(
    baseline: str,
    batches: Sequence[str],
    *,
    root: Path,
    warehouse: Path,
    source: str = "files",
    label: str | None = None,
    ignore: Sequence[str] = (),
    connection: duckdb.DuckDBPyConnection | None = None,
) -> Check:
    """Compare batches with a baseline: paths of CSV or Parquet files, or tables of the warehouse.

    Raises RetourError with a sentence about what cannot be read or compared.
    """
    connection = connection or duckdb.connect()
    names = _unique([_stem(batch) for batch in batches])
    attached = [_attach(connection, name, warehouse) for name in (baseline, *batches)]
    for number, relation in enumerate(attached):
        connection.execute(f"create view side_{number} as select * from {relation}")
    prepare(connection, root)
    found = [_columns(connection, f"side_{number}") for number in range(len(attached))]
    if not found[0]:
        raise RetourError(f"{baseline} has no columns.")
    known = dict.fromkeys(name for columns in found for name in columns)
    for name in (*ignore, *([label] if label else [])):
        if name not in known:
            raise RetourError(
                f"There is no column '{name}' in {baseline}.{did_you_mean(name, known)}"
            )
    columns = [_judge(connection, name, found) for name in known if name not in ignore]
    compared = [column for column in columns if column.kind]
    if not compared:
        reasons = "; ".join(f"{column.name}: {column.reason}" for column in columns)
        raise RetourError(f"Nothing in {baseline} can be compared ({reasons}).")
    count_cells(connection, compared, found, source=source)
    today = dt.datetime.now(dt.UTC).date()
    for number, batch in enumerate(names, start=1):
        for part, period in (("batch", number), ("reference", 0)):
            connection.execute(
                "insert into int_drift_comparisons "
                "values (?, ?, ?, null, null, ?, 'baseline', ?, ?, ?)",
                [source, batch, GRAIN, today, part, GRAIN, _period(period)],
            )
    label = label or next((name for name in LABELS if name in found[0]), None)
    if label:
        _weigh(connection, compared, label, source)
    _tell_apart(connection, compared, found, names, source)
    run_models(connection, root)
    return Check(connection, tuple(columns), label)


def count_cells(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    found: Sequence[Mapping[str, str]],
    *,
    source: str,
) -> None:
    """Fill int_drift_cells from the views side_0 (baseline), side_1 …: one scan per column."""
    rows = sum(
        connection.execute(f"select count(*) from side_{number}").fetchall()[0][0]
        for number in range(len(found))
    )
    steps = _steps(connection, columns, found) if rows > EXACT_ROWS else {}
    for column in columns:
        for number, types in enumerate(found):
            _count(connection, column, types, number, steps.get(column.name), source)


def append(check: Check, ops: Path) -> Path:
    """Leave the figures in the ops folder: the next build lands them as batches of the marts."""
    folder = ops / CHECKS
    folder.mkdir(parents=True, exist_ok=True)
    moment = dt.datetime.now(dt.UTC)
    check_id = f"{moment:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    columns = [
        row[0]
        for row in check.connection.execute(
            "select column_name from duckdb_columns() where table_name = ? "
            "and column_name not in ('check_id', 'checked_at') order by column_index",
            [CHECKS],
        ).fetchall()
    ]
    file = folder / f"{check_id}.parquet"
    scratch = file.with_suffix(".writing")
    check.connection.execute(
        f"copy (select {quoted(check_id)} as check_id, "
        f"{quoted(moment.isoformat(timespec='microseconds'))} as checked_at, "
        f"{', '.join(columns)} from int_drift_judged order by batch, feature) "
        f"to {quoted(str(scratch))} (format parquet)"
    )
    scratch.replace(file)
    return file


# what is read


def quoted(text: str) -> str:
    """A text literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def name_of(column: str) -> str:
    """An identifier of SQL."""
    return '"' + column.replace('"', '""') + '"'


def _attach(connection: duckdb.DuckDBPyConnection, name: str, warehouse: Path) -> str:
    """What stands after `from` for a file or a table; RetourError if it is neither."""
    path = Path(name)
    lower = name.lower()
    if path.is_dir():
        raise RetourError(f"{name} is a folder: name a CSV or Parquet file, or a table.")
    if path.is_file() and lower.endswith(".parquet"):
        relation = f"read_parquet({quoted(name)})"
    elif path.is_file() and lower.endswith(TEXTS):
        relation = f"read_csv({quoted(name)})"
    elif path.is_file():
        raise RetourError(f"{name} is neither CSV nor Parquet.")
    elif lower.endswith((".parquet", *TEXTS)):
        raise RetourError(f"{name} does not exist.")
    else:
        relation = _table(connection, name, warehouse)
    try:
        connection.execute(f"select * from {relation} limit 0")
    except duckdb.Error as error:
        raise RetourError(f"{name} cannot be read: {str(error).splitlines()[0]}") from error
    return relation


def _table(connection: duckdb.DuckDBPyConnection, name: str, warehouse: Path) -> str:
    """A table `schema.table` (or a mart by its name) of the warehouse, read-only."""
    schema, _, table = name.rpartition(".")
    attached = connection.execute(
        "select 1 from duckdb_databases() where database_name = 'warehouse'"
    ).fetchall()
    if not attached:
        if not warehouse.is_file():
            raise RetourError(
                f"'{name}' is no file, and there is no warehouse {warehouse} with such a table: "
                "check the path, or run `make build` first."
            )
        try:
            connection.execute(f"attach {quoted(str(warehouse))} as warehouse (read_only)")
        except duckdb.Error as error:
            raise RetourError(f"{warehouse} cannot be read: {error}") from error
    tables = {
        f"{schema_name}.{table_name}"
        for schema_name, table_name in connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'warehouse'"
        ).fetchall()
    }
    wanted = f"{schema or 'marts'}.{table}"
    if wanted not in tables:
        raise RetourError(
            f"'{name}' is neither a file nor a table of {warehouse}.{did_you_mean(wanted, tables)}"
        )
    schema, table = wanted.split(".", 1)
    return f"warehouse.{name_of(schema)}.{name_of(table)}"


def _columns(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    return dict(
        row[:2] for row in connection.execute(f"describe select * from {relation}").fetchall()
    )


def _judge(
    connection: duckdb.DuckDBPyConnection, name: str, found: Sequence[Mapping[str, str]]
) -> Column:
    """Number or category, by the first side that has a value in it."""
    for number, types in enumerate(found):
        if name not in types:
            continue
        if NUMBERS.match(types[name]):
            return Column(name, "number")
        if types[name] != "VARCHAR":
            return Column(name, None, "neither a number nor a text")
        text = f"nullif(trim({name_of(name)}), '')"
        known, numbers, members = connection.execute(
            f"select count({text}), count(try_cast({text} as double)), "
            f"approx_count_distinct({text}) from side_{number}"
        ).fetchall()[0]
        if not known:
            continue
        if numbers == known:
            return Column(name, "number")
        if members > MOST_MEMBERS or (members > 40 and members > known / 5):
            return Column(name, None, "a text that names rows")
        return Column(name, "category")
    return Column(name, "category")


def _value(column: Column, types: Mapping[str, str]) -> str:
    """A column as a double or a text; infinite and absurd numbers are missing."""
    if column.name not in types:
        return "cast(null as double)" if column.kind == "number" else "cast(null as varchar)"
    name = name_of(column.name)
    if types[column.name] == "VARCHAR":
        name = f"nullif(trim({name}), '')"
    if column.kind == "category":
        return f"cast({name} as varchar)"
    number = f"try_cast({name} as double)"
    if types[column.name] in ("VARCHAR", "FLOAT", "DOUBLE") or "HUGE" in types[column.name]:
        return f"case when abs({number}) < 1e15 then {number} end"
    return number


def _steps(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    found: Sequence[Mapping[str, str]],
) -> dict[str, float]:
    """The step in which the values of each number are counted, from the baseline."""
    numbers = [column for column in columns if column.kind == "number"]
    if not numbers:
        return {}
    selected = ", ".join(f"stddev_pop({_value(column, found[0])})" for column in numbers)
    deviations = connection.execute(f"select {selected} from side_0").fetchall()[0]
    cells = connection.execute(
        "select value from policy_parameters where policy_name = 'drift_cells_per_sd'"
    ).fetchall()[0][0]
    return {
        column.name: step_of(deviation, cells)
        for column, deviation in zip(numbers, deviations, strict=True)
    }


def _count(
    connection: duckdb.DuckDBPyConnection,
    column: Column,
    types: Mapping[str, str],
    number: int,
    step: float | None,
    source: str,
) -> None:
    value = _value(column, types)
    if column.kind == "category":
        shown = ("cast(null as double)", value, "cast(null as double)")
    elif step:
        shown = (f"round({value} / {step!r}) * {step!r}", "cast(null as varchar)", f"sum({value})")
    else:
        shown = (value, "cast(null as varchar)", f"sum({value})")
    connection.execute(
        f"insert into int_drift_cells select {quoted(source)}, '{GRAIN}', "
        f"date '{_period(number)}', {quoted(column.name)}, '{column.kind}', "
        f"{shown[0]}, {shown[1]}, count(*), {shown[2]} from side_{number} group by all"
    )


def _period(number: int) -> str:
    return (dt.date(2000, 1, 1) + dt.timedelta(days=number)).isoformat()


def _stem(name: str) -> str:
    path = Path(name)
    return path.name.split(".")[0] if path.is_file() else name


def _unique(names: Sequence[str]) -> list[str]:
    """Names of batches; equal ones get a number."""
    return [
        name if names.count(name) == 1 else f"{name} {names[: place + 1].count(name)}"
        for place, name in enumerate(names)
    ]


# does it matter, and can a model tell


def _weigh(
    connection: duckdb.DuckDBPyConnection, columns: Iterable[Column], label: str, source: str
) -> None:
    """What each column alone says about the label in the baseline, as a ROC-AUC.

    A category is ordered by the return rate of its members.
    """
    types = _columns(connection, "side_0")
    flag = f"try_cast({name_of(label)} as double)"
    for column in columns:
        if column.name == label or column.name not in types:
            continue
        order = "value" if column.kind == "number" else "returned / lines, value"
        connection.execute(
            f"""
            insert into model_feature_importance
            with cells as (
                select {_value(column, types)} as value, sum({flag}) as returned,
                    count({flag}) as lines
                from side_0 where {flag} in (0, 1) group by 1
            ),
            sorted as (
                select
                    *,
                    sum(lines - returned) over (
                        order by {order} nulls first rows unbounded preceding
                    ) - (lines - returned) / 2 as kept_below
                from cells
            )
            select
                {quoted(source)}, 'return', {quoted(column.name)}, null,
                sum(returned * kept_below) / (sum(returned) * sum(lines - returned))
            from sorted having sum(returned) > 0 and sum(lines - returned) > 0
            """
        )


def _tell_apart(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    found: Sequence[Mapping[str, str]],
    names: Sequence[str],
    source: str,
) -> None:
    """The domain classifier of each batch, on a sample of either side; the label is left out."""
    # here, not above: the maths takes a second
    from ml import domain_classifier

    policies = dict(
        connection.execute("select policy_name, value from policy_parameters").fetchall()
    )
    asked = [column for column in columns if column.name not in LABELS]
    for number, batch in enumerate(names, start=1):
        selected = " union all ".join(
            f"select * from (select {quoted(source)} as week_source, {quoted(batch)} as batch, "
            f"'{part}' as part, "
            + ", ".join(
                f"{_value(column, found[side])} as {name_of(column.name)}" for column in asked
            )
            + f" from side_{side} using sample reservoir("
            f"{policies['drift_classifier_lines']} rows) repeatable (42))"
            for part, side in (("reference", 0), ("batch", number))
        )
        if not asked:
            continue
        rows = domain_classifier.batches(
            connection.execute(selected).fetchnumpy(),
            [column.name for column in asked],
            confidence=policies["interval_confidence_percent"] / 100,
            random_state=42,
        )
        for row in rows:
            connection.execute(
                "insert into ml_drift_classifiers values (?, ?, ?, ?, ?)",
                [row["source"], row["batch"], row["auc"], row["auc_lo"], row["auc_hi"]],
            )


# what is printed


def show(check: Check, say: Callable[[str], None]) -> None:
    """A small table of the batches, and of the columns of each that moved most."""
    batches = check.rows("select * from drift_batches order by batch")
    header = ("batch", "lines", "score", "severity", "returns", "discount", "days", "stars", "AUC")
    table = [header]
    for row in batches:
        table.append(
            (
                row["batch"],
                f"{row['lines']:,.0f}",
                _number(row["drift_score"], "{:.1f}"),
                row["severity"],
                _number(row["return_rate"], "{:.1%}"),
                _number(row["average_discount"], "{:.1%}"),
                _number(row["delivery_days"], "{:.1f}"),
                _number(row["average_rating"], "{:.2f}"),
                _number(row["classifier_auc"], "{:.2f}"),
            )
        )
    for line in _aligned(table, texts=(0, 3)):
        say(line)
    for row in batches:
        say(f"\n{row['batch']}: {row['sentence']}")
        if row["recommendation"]:
            say(f"  {row['recommendation']}")
        features = check.rows(
            "select * from drift_features where batch = "
            f"{quoted(row['batch'])} order by coalesce(drift_score, -1) desc, "
            "coalesce(moved_share, 0) desc, feature limit 6"
        )
        lines = [("column", "score", "moved", "PSI", "KS", "q", "matters", "")]
        for feature in features:
            lines.append(
                (
                    feature["feature"],
                    _number(feature["drift_score"], "{:.1f}"),
                    _number(feature["moved_share"], "{:.0%}"),
                    _number(feature["psi"], "{:.2f}"),
                    _number(feature["ks_statistic"], "{:.2f}"),
                    _number(feature["q_value"], "{:.2g}"),
                    _number(feature["importance"], "{:.2f}"),
                    feature["sentence"],
                )
            )
        for line in _aligned(lines, texts=(0, 7)):
            say(f"  {line}")
    left = [column for column in check.columns if not column.kind]
    if left:
        say("\nNot compared: " + "; ".join(f"{one.name} ({one.reason})" for one in left) + ".")


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _aligned(table: Sequence[Sequence[str]], texts: Sequence[int]) -> list[str]:
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if at in texts else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
