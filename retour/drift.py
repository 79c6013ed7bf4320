"""`retour drift`: has one file or table moved against another?

Counts the values of every column and runs the very models that watch the weeks of a warehouse
(int_drift_statistics to drift_batches), rendered without dbt.
"""

import codecs
import datetime as dt
import gzip
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from retour.drift_models import CHECKS, MODELS, cell_of, grids, prepare, project_of, run_models
from retour.errors import RetourError
from retour.rendering import Project
from retour.settings import did_you_mean

GRAIN = "check"
# above so many rows values are counted in steps, as in the warehouse, of the quartiles of as many
EXACT_ROWS = 100_000
# so many of them tell which rows are in the sample, where that gives the share asked for
SAMPLE_COLUMNS = 4
# a text with more members than this, most of them rare, names a row and is no category
MOST_MEMBERS = 1_000
# labels that a baseline may have, the first that is there
LABELS = ("returned", "is_returned", "label_is_returned", "return_flag")
TEXTS = (".csv", ".csv.gz", ".tsv", ".txt")
NUMBERS = re.compile(r"^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*|BOOLEAN)$")
# as the weeks and days of a source are called in the same marts
COMPUTED = re.compile(r"(week|day) \d{4}-\d\d-\d\d")
ENDINGS = re.compile(r"\.(parquet|csv\.gz|csv|tsv|txt)$", re.IGNORECASE)
# so many pairs of equal values must be due by chance before their absence says "a running number"
PAIRS_DUE = 10
# what DuckDB takes for the same name: letters without accents
LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True)
class Column:
    """A column that is compared: number or category, and why not, where it is not."""

    name: str
    kind: str | None
    reason: str | None = None
    # a side has it as a flag, or as a number: texts of the others are read as such
    is_flag: bool = False
    is_number: bool = False


@dataclass(frozen=True)
class Check:
    """A check: drift_features, drift_batches and what led there are tables in `connection`."""

    connection: duckdb.DuckDBPyConnection
    columns: tuple[Column, ...]
    label: str | None
    notes: tuple[str, ...] = ()
    source: str = "files"
    # which file each batch is
    files: Mapping[str, str] = field(default_factory=dict)

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
    ops: Path | None = None,
) -> Check:
    """Compare batches with a baseline: paths of CSV or Parquet files, or tables of the warehouse.

    `ops` is where earlier checks were left: a name that stands for another file there is not used.

    Raises RetourError with a sentence about what cannot be read or compared.
    """
    connection = connection or duckdb.connect()
    files = _names(batches, _known_files(ops, source) if ops else {})
    attached = [_attach(connection, name, warehouse) for name in (baseline, *batches)]
    for number, relation in enumerate(attached):
        connection.execute(f"create view side_{number} as select * from {relation}")
    prepare(connection, root)
    try:
        found = _check(
            connection, (baseline, *files), root=root, source=source, label=label, ignore=ignore
        )
        return replace(found, source=source, files={k: v for k, v in files.items() if v})
    # a file that is broken behind the lines that told its types
    except (duckdb.ConversionException, duckdb.InvalidInputException) as error:
        raise RetourError(f"A file cannot be read to its end: {_said(error)}") from error


def _check(
    connection: duckdb.DuckDBPyConnection,
    names: Sequence[str],
    *,
    root: Path,
    source: str,
    label: str | None,
    ignore: Sequence[str],
) -> Check:
    """The views side_0 (baseline), side_1 … under these names."""
    baseline = names[0]
    found = [_columns(connection, f"side_{number}") for number in range(len(names))]
    if not found[0]:
        raise RetourError(f"{baseline} has no columns.")
    # a name that differs in capitals only is the same column
    spelled: dict[str, str] = {}
    for columns in found:
        for name in columns:
            spelled.setdefault(name.translate(LOWER), name)
    found = [
        {spelled[name.translate(LOWER)]: kind for name, kind in columns.items()}
        for columns in found
    ]
    for name in (*ignore, *([label] if label else [])):
        if name.translate(LOWER) not in spelled:
            raise RetourError(
                f"There is no column '{name}' in {baseline}.{did_you_mean(name, spelled.values())}"
            )
    ignored = {name.translate(LOWER) for name in ignore}
    notes: list[str] = []
    label = _label(connection, label, spelled, found[0], notes)
    outcomes = {name for lower, name in spelled.items() if lower in LABELS or name == label}
    running = _running(connection, found) - outcomes
    columns = [
        Column(name, None, "a running number")
        if name in running
        else _judge(connection, name, found)
        for lower, name in spelled.items()
        if lower not in ignored
    ]
    compared = [column for column in columns if column.kind]
    if not compared:
        reasons = "; ".join(f"{column.name}: {column.reason}" for column in columns)
        raise RetourError(f"Nothing in {baseline} can be compared ({reasons}).")
    steps = count_cells(connection, compared, found, root=root, source=source, outcomes=outcomes)
    today = dt.datetime.now(dt.UTC).date()
    for number, batch in enumerate(names[1:], start=1):
        for part, period in (("batch", number), ("reference", 0)):
            connection.execute(
                "insert into int_drift_comparisons "
                "values (?, ?, ?, null, null, ?, 'baseline', ?, ?, ?)",
                [source, batch, GRAIN, today, part, GRAIN, _period(period)],
            )
    if label:
        _weigh(connection, compared, steps, label, source, notes)
    asked = [column for column in compared if column.name not in outcomes]
    _tell_apart(connection, asked, found, names[1:], source)
    run_models(connection, root, MODELS[:1])
    _state(connection, compared, found, names, outcomes, notes)
    run_models(connection, root, MODELS[1:])
    return Check(connection, tuple(columns), label, tuple(notes))


def count_cells(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    found: Sequence[Mapping[str, str]],
    *,
    root: Path,
    source: str,
    outcomes: Iterable[str] = (),
) -> dict[str, list[str]]:
    """Fill int_drift_cells from the views side_0 (baseline), side_1 …: one scan per column.

    Of outcomes only what is known is counted: a line that has none yet is no line without. Returns
    the SQL of the steps of each number on each side, where values were too many to keep.
    """
    rows = sum(
        connection.execute(f"select count(*) from side_{number}").fetchall()[0][0]
        for number in range(len(found))
    )
    project = project_of(root)
    cells = _steps(connection, project, columns, found) if rows > EXACT_ROWS else {}
    for column in columns:
        _count(
            connection,
            column,
            found,
            cells.get(column.name),
            source,
            known_only=column.name in outcomes,
        )
    return cells


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
    files = json.dumps({"source": check.source, "files": dict(check.files)})
    check.connection.execute(
        f"copy (select {quoted(check_id)} as check_id, "
        f"{quoted(moment.isoformat(timespec='microseconds'))} as checked_at, "
        f"{', '.join(columns)} from int_drift_judged order by batch, feature) "
        f"to {quoted(str(scratch))} (format parquet, kv_metadata {{files: {quoted(files)}}})"
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
        relation = f"read_parquet({quoted(_literal(name))}, hive_partitioning = false)"
    elif path.is_file() and lower.endswith(TEXTS):
        _check_encoding(path)
        relation = f"read_csv({quoted(_literal(name))}, hive_partitioning = false)"
    elif path.is_file():
        raise RetourError(f"{name} is neither CSV nor Parquet.")
    elif lower.endswith((".parquet", *TEXTS)):
        raise RetourError(f"{name} does not exist.")
    else:
        relation = _table(connection, name, warehouse)
    try:
        connection.execute(f"select * from {relation} limit 0")
    except duckdb.Error as error:
        raise RetourError(f"{name} cannot be read: {_said(error)}") from error
    return relation


def _literal(name: str) -> str:
    """A path in which nothing is a pattern: DuckDB reads every path as one."""
    return re.sub(r"([\[*?])", r"[\1]", name)


def _check_encoding(path: Path) -> None:
    """RetourError if a text is not UTF-8: DuckDB finds that out late, and may fall over it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    reader = gzip.open if path.name.lower().endswith(".gz") else Path.open
    try:
        with reader(path, "rb") as file:
            while block := file.read(1 << 20):
                line += decoder.decode(block).count("\n")
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        line += error.object[: error.start].count(b"\n")
        raise RetourError(
            f"{path} is not encoded as UTF-8 (line {line:,}; Latin-1 or Windows-1252, perhaps): "
            "save it as UTF-8."
        ) from error
    except (OSError, EOFError) as error:
        raise RetourError(f"{path} cannot be read: {error}") from error


def _said(error: duckdb.Error) -> str:
    """What the engine says, without its list of settings."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines[1:3] if not line.startswith("Possible")]
    return " ".join([lines[0], *told]) if "CSV Error" in lines[0] else lines[0]


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
        kinds = {one[name] for one in found if name in one}
        is_flag = "BOOLEAN" in kinds
        is_number = any(NUMBERS.match(kind) for kind in kinds)
        if NUMBERS.match(types[name]):
            return Column(name, "number", None, is_flag, is_number)
        if types[name] != "VARCHAR":
            return Column(name, None, "neither a number nor a text")
        text = f"nullif(trim({name_of(name)}), '')"
        known, numbers, members, flags = connection.execute(
            f"select count({text}), count(try_cast({text} as double)), "
            f"approx_count_distinct({text}), "
            f"count(*) filter (lower({text}) in ('true', 'false')) from side_{number}"
        ).fetchall()[0]
        if not known:
            continue
        if numbers == known or (is_flag and flags == known):
            return Column(name, "number", None, is_flag, is_number)
        if members > MOST_MEMBERS or (members > 40 and members > known / 5):
            return Column(name, None, "a text that names rows")
        return Column(name, "category", None, is_flag, is_number)
    return Column(name, "category")


def _running(connection: duckdb.DuckDBPyConnection, found: Sequence[Mapping[str, str]]) -> set[str]:
    """Whole numbers that name rows: none twice in the baseline, where chance repeats some.

    So many values drawn from between the smallest and the largest would share n² / 2 / span pairs,
    and more if some values are likelier than others.
    """
    names = [name for name, kind in found[0].items() if NUMBERS.match(kind) and kind != "BOOLEAN"]
    if not names:
        return set()
    values = {name: f"try_cast({name_of(name)} as double)" for name in names}
    told = connection.execute(
        "select "
        + ", ".join(
            f"count({value}), approx_count_distinct({value}), "
            f"max({value}) - min({value}), bool_and({value} = floor({value}))"
            for value in values.values()
        )
        + " from side_0"
    ).fetchall()[0]
    running = set()
    for place, name in enumerate(names):
        known, distinct, span, whole = told[4 * place : 4 * place + 4]
        if not whole or distinct < 0.8 * known or known**2 / 2 < PAIRS_DUE * (span + 1):
            continue
        exact = connection.execute(f"select count(distinct {values[name]}) from side_0").fetchall()[
            0
        ][0]
        if exact == known:
            running.add(name)
    return running


def _value(column: Column, types: Mapping[str, str]) -> str:
    """A column as a double or a text; infinite and absurd numbers are missing."""
    if column.name not in types:
        return "cast(null as double)" if column.kind == "number" else "cast(null as varchar)"
    kind = types[column.name]
    name = name_of(column.name)
    if kind == "VARCHAR":
        name = f"nullif(trim({name}), '')"
    if column.kind == "category":
        text = f"cast({name} as varchar)"
        # "1" of one side is "1.0" of another that had a hole in the column
        if column.is_number and kind != "BOOLEAN":
            return f"regexp_replace({text}, '^(-?\\d+)\\.0+$', '\\1')"
        return text
    number = f"try_cast({name} as double)"
    if kind == "VARCHAR" and column.is_flag:
        flag = f"case lower({name}) when 'true' then 1.0 when 'false' then 0.0 end"
        number = f"coalesce({number}, {flag})"
    if kind in ("VARCHAR", "FLOAT", "DOUBLE") or "HUGE" in kind:
        return f"case when abs({number}) < 1e15 then {number} end"
    return number


def _steps(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    columns: Sequence[Column],
    found: Sequence[Mapping[str, str]],
) -> dict[str, list[str]]:
    """SQL: the number of the step of each number on each side, from a sample of the baseline.

    Which rows are in it is told by what they hold: reservoirs take a fifth of all the time.
    """
    numbers = [column for column in columns if column.kind == "number"]
    if not numbers:
        return {}
    selected = ", ".join(
        f"quantile_cont(c{place}, [0.25, 0.5, 0.75]), stddev_pop(c{place})"
        for place in range(len(numbers))
    )
    values = ", ".join(
        f"{_value(column, found[0])} as c{place}" for place, column in enumerate(numbers)
    )
    rows = connection.execute("select count(*) from side_0").fetchall()[0][0]
    every = rows // EXACT_ROWS + 1
    names = [name_of(column.name) for column in numbers if column.name in found[0]]
    # to hash all columns takes longer than to count them, and a few tell most rows apart
    for hashed in (names[:SAMPLE_COLUMNS], names):
        of_rows = f"where hash({', '.join(hashed)}) % {every} = 0" if hashed else ""
        row = connection.execute(
            f"select count(*), {selected} from (select {values} from side_0 {of_rows})"
        ).fetchall()[0]
        if abs(row[0] * every - rows) <= 0.05 * rows:
            break
    row = row[1:]
    quartiles = [
        (*(row[at] or (None, None, None)), row[at + 1]) for at in range(0, 2 * len(numbers), 2)
    ]
    cells = connection.execute(
        "select value from policy_parameters where policy_name = 'drift_cells_per_spread'"
    ).fetchall()[0][0]
    return {
        column.name: [cell_of(project, _value(column, types), grid, cells) for types in found]
        for column, grid in zip(numbers, grids(connection, project, quartiles), strict=True)
    }


def _count(
    connection: duckdb.DuckDBPyConnection,
    column: Column,
    found: Sequence[Mapping[str, str]],
    cells: Sequence[str] | None,
    source: str,
    *,
    known_only: bool,
) -> None:
    """Count the values of a column on all sides; a step stands for the mean of what is in it."""
    is_number = column.kind == "number"
    sides = []
    for number, types in enumerate(found):
        value = _value(column, types)
        sides.append(
            f"select date '{_period(number)}' as period_start, "
            f"{cells[number] if cells else value} as cell, count(*) as lines, "
            f"count({value}) as known, "
            f"{f'sum({value})' if is_number else 'cast(null as double)'} as total "
            f"from side_{number} "
            + (f"where {value} is not null " if known_only else "")
            + "group by all"
        )
    if cells:
        shown = "sum(total) over step / sum(known) over step, cast(null as varchar)"
    else:
        shown = "cell, cast(null as varchar)" if is_number else "cast(null as double), cell"
    connection.execute(
        f"insert into int_drift_cells select {quoted(source)}, '{GRAIN}', period_start, "
        f"{quoted(column.name)}, '{column.kind}', {shown}, lines, total "
        f"from ({' union all '.join(sides)})"
        + (" window step as (partition by cell)" * bool(cells))
    )


def _period(number: int) -> str:
    return (dt.date(2000, 1, 1) + dt.timedelta(days=number)).isoformat()


def _names(batches: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """Names of batches, with the files they stand for, if they are files.

    A file is called by its folder, too, since each month has an orders.csv; if another file was
    checked under that name, in this run or an earlier one (`known`), by a hash of its path as well.
    """
    names: dict[str, str] = {}
    for batch in batches:
        path = Path(batch)
        name, place = batch, ""
        if path.is_file():
            path = path.resolve()
            place = str(path)
            name = "/".join(filter(None, (path.parent.name, ENDINGS.sub("", path.name))))
            if (known | names).get(name, place) != place:
                name = f"{name} {hashlib.sha256(place.encode()).hexdigest()[:8]}"
        if COMPUTED.match(name):
            raise RetourError(
                f"'{name}' is what the marts call a week or day of a source: rename {batch}."
            )
        unique, number = name, 1
        while unique in names:
            number += 1
            unique = f"{name} {number}"
        names[unique] = place
    return names


def _known_files(ops: Path, source: str) -> dict[str, str]:
    """Which file the name of a batch stands for, from what earlier checks left."""
    known: dict[str, str] = {}
    with duckdb.connect() as connection:
        for file in sorted((ops / CHECKS).glob("*.parquet")):
            rows = connection.execute(
                "select decode(value) from parquet_kv_metadata(?) where decode(key) = 'files'",
                [_literal(str(file))],
            ).fetchall()
            for (text,) in rows:
                said = json.loads(text)
                if said["source"] == source:
                    known = said["files"] | known
    return known


def _state(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    found: Sequence[Mapping[str, str]],
    names: Sequence[str],
    outcomes: Iterable[str],
    notes: list[str],
) -> None:
    """Outcomes that counts of values cannot know: not known yet, type changed."""
    connection.execute(
        "update int_drift_statistics set outcome = 'not known yet' "
        "where least(batch_lines, reference_lines) = 0 "
        "and list_contains(?, feature) and batch in ("
        "select batch from int_drift_statistics group by batch having max(batch_lines) > 0)",
        [list(outcomes)],
    )
    for number, types in enumerate(found):
        changed = []
        there = [column for column in columns if column.name in types]
        asked = [column for column in there if column.kind == "number"]
        counts = _lost(connection, asked, types, number)
        for column, (given, read) in zip(asked, counts, strict=True):
            if given > read:
                notes.append(
                    f"{column.name}: {given - read:,} of {given:,} values of {names[number]} are "
                    f"no numbers ({_kind(types[column.name])}), or beyond 1e15: "
                    "counted as missing"
                )
            if given and not read:
                changed.append(column.name)
        for column in there if number else ():
            # numbers where texts were, and none of them a member of those
            if column.kind == "category" and types[column.name] != "VARCHAR":
                sides, members, distinct = connection.execute(
                    "select count(distinct period_start), count(*), count(distinct member) "
                    "from int_drift_cells "
                    "where feature = ? and member is not null and period_start in (?, ?)",
                    [column.name, _period(0), _period(number)],
                ).fetchall()[0]
                if sides == 2 and members == distinct:
                    changed.append(column.name)
        if changed and number:
            connection.execute(
                "update int_drift_statistics set outcome = 'type changed' where batch = ? "
                "and list_contains(?, feature) and outcome in ('compared', 'disappeared')",
                [names[number], changed],
            )


def _lost(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    types: Mapping[str, str],
    number: int,
) -> list[tuple[int, int]]:
    """How many values each number has on a side, and how many of them can be compared."""
    if not columns:
        return []
    selected = []
    for column in columns:
        name = name_of(column.name)
        if types[column.name] == "VARCHAR":
            given = f"nullif(nullif(trim({name}), ''), 'nan')"
        elif types[column.name] in ("FLOAT", "DOUBLE"):
            given = f"case when not isnan({name}) then 1 end"
        else:
            given = name
        selected.append(f"count({given}), count({_value(column, types)})")
    row = connection.execute(f"select {', '.join(selected)} from side_{number}").fetchall()[0]
    return list(zip(row[::2], row[1::2], strict=True))


def _kind(kind: str) -> str:
    return "text" if kind == "VARCHAR" else kind.split("(")[0].lower()


# does it matter, and can a model tell


def _flag(label: str, kind: str) -> str:
    """A label as 0 and 1."""
    number = f"try_cast({name_of(label)} as double)"
    if kind != "VARCHAR":
        return number
    text = f"lower(trim({name_of(label)}))"
    return f"coalesce({number}, case {text} when 'true' then 1.0 when 'false' then 0.0 end)"


def _label(
    connection: duckdb.DuckDBPyConnection,
    asked: str | None,
    spelled: Mapping[str, str],
    types: Mapping[str, str],
    notes: list[str],
) -> str | None:
    """The label that the baseline has: what was asked for, or the first of LABELS.

    RetourError if it is not one of 0 and 1: nothing could be said about what matters.
    """
    wanted = [asked.translate(LOWER)] if asked else list(LABELS)
    name = next((spelled[one] for one in wanted if spelled.get(one) in types), None)
    if name is None and asked:
        raise RetourError(f"There is no label '{asked}' in the baseline.")
    if name is None:
        return None
    other = connection.execute(
        f"select min(cast({name_of(name)} as varchar)) from side_0 "
        f"where {name_of(name)} is not null and trim(cast({name_of(name)} as varchar)) <> '' "
        f"and coalesce({_flag(name, types[name])} not in (0, 1), true)"
    ).fetchall()[0][0]
    if other is None:
        return name
    if asked:
        raise RetourError(
            f"The label {name} must be 0 or 1 (or true or false) in every line; "
            f"the baseline has '{other}' too."
        )
    notes.append(f"{name} is not 0 or 1 in every line ('{other}'), so no label: all columns count")
    return None


def _weigh(
    connection: duckdb.DuckDBPyConnection,
    columns: Iterable[Column],
    steps: Mapping[str, Sequence[str]],
    label: str,
    source: str,
    notes: list[str],
) -> None:
    """What each column alone says about the label in the baseline, as a ROC-AUC.

    Values in one step count as equal: to sort millions of them takes longer than all the rest.

    A category is ordered by the return rate of its members, which orders chance too: its distance
    from 1/2 is cut to the part of the chi-square that two standard deviations of chance leave. Of
    a number two standard errors of the ROC-AUC (Mann and Whitney) are cut off.
    """
    types = _columns(connection, "side_0")
    flag = _flag(label, types[label])
    lower = {name.translate(LOWER): kind for name, kind in types.items()}
    found = {}
    for column in columns:
        if column.name == label or column.name.translate(LOWER) not in lower:
            continue
        kinds = {column.name: lower[column.name.translate(LOWER)]}
        value = steps[column.name][0] if column.name in steps else _value(column, kinds)
        order = "value" if column.kind == "number" else "returned / lines, value"
        row = connection.execute(
            f"""
            with cells as (
                select {value} as value, sum({flag}) as returned,
                    count({flag}) as lines
                from side_0 where {flag} in (0, 1) group by 1
            ),
            sorted as (
                select
                    *,
                    sum(lines - returned) over (
                        order by {order} nulls first rows unbounded preceding
                    ) - (lines - returned) / 2 as kept_below,
                    sum(returned) over () / sum(lines) over () as rate
                from cells
            )
            select
                sum(returned * kept_below) / (sum(returned) * sum(lines - returned)),
                sum(pow(returned - lines * rate, 2) / (lines * rate * (1 - rate))),
                count(*) - 1, sum(returned), sum(lines - returned)
            from sorted having sum(returned) > 0 and sum(lines - returned) > 0
            """
        ).fetchone()
        if row is None:
            continue
        auc, square, degrees, returned, kept = row
        told = auc - 0.5
        if column.kind == "number":
            error = ((returned + kept + 1) / (12 * returned * kept)) ** 0.5
            told = max(abs(told) - 2 * error, 0.0) * (1 if told > 0 else -1)
        else:
            chance = degrees + 2 * (2 * degrees) ** 0.5
            told *= max(1 - chance / square, 0.0) ** 0.5 if square > 0 else 0
        found[column.name] = 0.5 + told
    if all(auc == 0.5 for auc in found.values()):
        notes.append(f"No column says more about {label} than chance: all count alike")
        return
    for name, auc in found.items():
        connection.execute(
            "insert into model_feature_importance values (?, 'return', ?, null, ?)",
            [source, name, auc],
        )


def _tell_apart(
    connection: duckdb.DuckDBPyConnection,
    asked: Sequence[Column],
    found: Sequence[Mapping[str, str]],
    names: Sequence[str],
    source: str,
) -> None:
    """The domain classifier of each batch, on a sample of either side."""
    # here, not above: the maths takes a second
    from ml import domain_classifier

    policies = dict(
        connection.execute("select policy_name, value from policy_parameters").fetchall()
    )
    # columns of files may be called anything, also "batch"
    aliases = [f"c{place}" for place in range(len(asked))]
    for number, batch in enumerate(names, start=1):
        selected = " union all ".join(
            f"select * from (select {quoted(source)} as week_source, {quoted(batch)} as batch, "
            f"'{part}' as part, "
            + ", ".join(
                f"{_value(column, found[side])} as {alias}"
                for column, alias in zip(asked, aliases, strict=True)
            )
            + f" from side_{side} using sample reservoir("
            f"{policies['drift_classifier_lines']} rows) repeatable (42))"
            for part, side in (("reference", 0), ("batch", number))
        )
        if not asked:
            continue
        rows = domain_classifier.batches(
            connection.execute(selected).fetchnumpy(),
            aliases,
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
                    _number(
                        feature["moved_share"] if feature["psi"] is not None else None, "{:.0%}"
                    ),
                    _number(feature["psi"], "{:.2f}"),
                    _number(feature["ks_statistic"], "{:.2f}"),
                    _number(feature["q_value"], "{:.2g}"),
                    _number(feature["importance"], "{:.2f}"),
                    feature["sentence"],
                )
            )
        for line in _aligned(lines, texts=(0, 7)):
            say(f"  {line}")
    if check.notes:
        say("\n" + "\n".join(f"{note}." for note in check.notes))
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
