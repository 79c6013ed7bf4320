"""Scores of order lines to be: the numbers that order_return_scores would hold after a rebuild.

Lines go through the models that the warehouse was built with (`retour.rendering`), on tables of
their own in memory. What those models know of the past they find in the published file: entities in
entity_history, what becomes known by waiting in order_lines, policies in schema `scoring`; the
model itself is the saved one that model_runs names. Nothing is written to any of it.

Every step is an INSERT, all of them in a transaction that is rolled back: the next lines find empty
tables.
"""

import contextlib
import csv
import json
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TextIO

import duckdb

from ml import scoring_sql
from ml.return_models import Version
from retour.build import project_root
from retour.errors import RetourError
from retour.landing.config import Table, load_configs
from retour.landing.csv_files import CsvFile
from retour.landing.parquet_files import read_parquet
from retour.landing.reading import FileError, RawFile, Reading, cannot_be_read, plain_errors
from retour.model_files import Unusable, loaded, published_path, verified
from retour.publish import literal
from retour.rendering import Project
from retour.settings import did_you_mean

LANDED = "canonical__order_lines"
REQUIRED = ("order_id", "ordered_at", "product_id", "quantity", "unit_price")
# of a line that is only about to be ordered nobody knows these
LATER = ("delivered_at", "cancelled_at", "return_status")
RESULT = {
    "order_line_id": "varchar",
    "return_probability": "double",
    "risk_band": "varchar",
    "expected_cost": "decimal(18, 4)",
    "recommended_action": "varchar",
    "expected_gain": "decimal(18, 4)",
    "model_version": "varchar",
}
COUNTERS = (
    "line_count",
    "order_count",
    "returned_line_count",
    "price_total",
    "rating_count",
    "rating_total",
    "delivered_count",
    "late_count",
)
ENTITIES = {
    "source": "'all'",
    "customer": "customer_id",
    "product": "product_id",
    "seller": "seller_id",
    "category": "category",
    "brand": "brand",
}
# what order_return_scores reads of ml_return_scores
CARRIED = (
    "source, order_line_id, order_id, product_id, ordered_date, marketplace, category,"
    " payment_method, quantity, ordered_amount, has_size, same_product_variants,"
    " customer_return_rate, customer_returned_lines_before, product_return_rate, discount_share"
)
ROW = "row_number"
KEY = "order_line_id"


class LineError(RetourError):
    """What is wrong with lines: (row, column or None, sentence) each; rows count from 1."""

    def __init__(self, problems: Sequence[tuple[int, str | None, str]]) -> None:
        self.problems = list(problems)
        shown = [f"row {row}: {said}" for row, _, said in self.problems[:20]]
        more = len(self.problems) - len(shown)
        super().__init__("\n".join([*shown, *([f"and {more} more"] if more else [])]))


@dataclass(frozen=True)
class Publication:
    """What a published file says of itself and its model of returns."""

    path: Path
    source: str
    as_of_date: date
    model_version: str
    model_sha256: str
    features: tuple[str, ...]
    window_days: int
    trained_on: date
    stamp: tuple[int, int] | None


def read_publication(path: Path, source: str | None) -> Publication:
    """Raises RetourError if there is none, or none that can score lines of this source."""
    try:
        path.stat()
        stamp = file_stamp(path)
        connection = duckdb.connect(str(path), read_only=True)
    except FileNotFoundError:
        raise RetourError(f"There is no published file {path}: run `make build` first.") from None
    except (OSError, duckdb.Error) as error:
        raise RetourError(f"{path} cannot be read: {error}") from error
    with connection:
        try:
            days = dict(
                connection.execute("select source, as_of_date from marts.publication").fetchall()
            )
            if source is None and len(days) == 1:
                (source,) = days
            if source is None:
                raise RetourError(f"Name the source of the lines: {', '.join(sorted(days))}.")
            if source not in days:
                hint = did_you_mean(source, days)
                raise RetourError(
                    f"{path} has no source '{source}'.{hint} It has {', '.join(sorted(days))}."
                )
            runs = connection.execute(
                """
                select model_version, model_sha256, features, horizon_days, trained_on
                from marts.model_runs
                where
                    source = ? and task = 'return' and model in ('table', 'base_rate')
                    and model_sha256 is not null
                order by trained_on desc
                limit 1
                """,
                [source],
            ).fetchall()
        except duckdb.Error as error:
            raise RetourError(
                f"{path} is of another version: run `make build`. ({error})"
            ) from error
    if not runs:
        raise RetourError(f"{path} names no model of returns for '{source}': run `make build`.")
    version, sha256, features, window, trained_on = runs[0]
    names = tuple((features or "").split(", "))
    return Publication(
        path, source, days[source], version, sha256, names, int(window), trained_on, stamp
    )


def file_stamp(path: Path) -> tuple[int, int] | None:
    """What changes when another file stands in its place; None if there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def saved_model(publication: Publication) -> Version:
    """The saved model that the published file names. Raises RetourError if it is not there whole:
    what would be said is then not what was tested."""
    path = published_path(
        publication.path.parent, "return", publication.source, publication.model_sha256
    )
    try:
        content = loaded(verified(path, publication.model_sha256))
    except Unusable as why:
        raise RetourError(
            f"The saved model {path} {why}: nothing is scored. Run `make build`, which fits and"
            " publishes it again."
        ) from None
    for version in content["models"]:
        if version.name == publication.model_version:
            return version
    raise RetourError(f"{path} does not hold {publication.model_version}: run `make build`.")


class Scorer:
    """Scores lines by one published file; for one thread at a time (a lock sees to it)."""

    def __init__(
        self, path: Path, source: str | None = None, *, threads: int | None = None
    ) -> None:
        self.publication = read_publication(path, source)
        self.version = saved_model(self.publication)
        root = project_root()
        self.table: Table = next(
            table for table in load_configs(root)["canonical"].tables if table.name == LANDED
        )
        self.columns = [
            name for name in (column.name for column in self.table.columns) if name not in LATER
        ]
        project = Project(root, {"return_window_days": self.publication.window_days})
        self.lock = threading.Lock()
        self.connection = duckdb.connect(config={"threads": threads} if threads else {})
        try:
            self._prepare(project)
        except duckdb.Error as error:
            raise RetourError(
                f"{path} does not fit this version of retour: run `make build`. ({error})"
            ) from error

    def close(self) -> None:
        self.connection.close()

    # --- lines in, scores out ------------------------------------------------------------------

    def score_file(self, path: Path, out: TextIO) -> int:
        """Write the scores of the lines of a CSV or Parquet file in its order, as CSV; how many."""
        with self._transaction():
            self._read(path)
            self._run()
            found = self.connection.execute(SCORED)
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(RESULT)
            count = 0
            while batch := found.fetchmany(10_000):
                writer.writerows(batch)
                count += len(batch)
        return count

    def score_lines(self, lines: Sequence[Mapping[str, Any]]) -> list[dict]:
        """Scores of lines given as columns of text or numbers; what is None is not known."""
        with self._transaction():
            self._take(lines)
            self._run()
            return rows(self.connection, SCORED)

    def _take(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Land lines as the text that a file would hold."""
        texts = [
            {ROW: number}
            | {name: None if line.get(name) is None else str(line[name]) for name in self.columns}
            for number, line in enumerate(lines, start=1)
        ]
        self.connection.execute(
            f"insert into {LANDED} by name select ? as source, '' as file,"
            " unnest(from_json(?, ?), recursive := true)",
            [self.publication.source, json.dumps(texts), self.json_form],
        )

    def features_of_file(self, path: Path) -> list[dict]:
        """return_features of the lines of a file."""
        with self._transaction():
            self._read(path)
            self._run()
            return rows(self.connection, f"select * from return_features order by {KEY}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Lines in, and out again, whatever happens between."""
        with self.lock:
            self.connection.execute("begin")
            try:
                yield
            finally:
                self.connection.execute("rollback")

    def _read(self, path: Path) -> None:
        """Land a file as a build would."""
        if not path.name.lower().endswith((".csv", ".csv.gz", ".parquet")):
            raise RetourError(f"{path} is neither .csv, .csv.gz nor .parquet.")
        file = RawFile(self.publication.source, path.name, path, self.table)
        try:
            with plain_errors(), tempfile.TemporaryDirectory(prefix="retour-") as work:
                if not path.stat().st_size:
                    raise FileError("the file is empty: there is not even a header.")
                if file.format == "parquet":
                    reading = read_parquet(self.connection, file)
                else:
                    reading = CsvFile(file, Path(work)).read()
                self._check_columns(reading)
                try:
                    self._insert(file, reading)
                except duckdb.Error as error:
                    if reading.line_by_line is None:
                        raise FileError(cannot_be_read(error)) from error
                    self.connection.execute("rollback; begin")
                    reading = reading.line_by_line()
                    self._insert(file, reading)
        except FileError as error:
            raise RetourError(f"{path}: " + "\n".join(error.problems)) from None
        if reading.rejected:
            raise LineError(
                [
                    (line.row_number, None, f"the line cannot be read ({line.reason})")
                    for line in reading.rejected
                ]
            )

    def _insert(self, file: RawFile, reading: Reading) -> None:
        self.connection.execute(f"insert into {LANDED} {reading.select(file)}")

    def _check_columns(self, reading: Reading) -> None:
        unknown = [header for header, _ in reading.extras]
        if unknown:
            said = [
                f"there is no column '{header}'.{did_you_mean(header, self.columns)}"
                for header in unknown
            ]
            raise FileError(*said, f"The columns are {', '.join(self.columns)}.")

    def _run(self) -> None:
        """Every step, from landed text to scores; stops where lines cannot be scored."""
        execute = self.connection.execute
        for table, query in self.steps.items():
            try:
                execute(f"insert into {table} {query}")
            except (duckdb.ConversionException, duckdb.OutOfRangeException):
                said = "the amounts of this line and those around it are too large to add up"
                raise LineError([(1, None, said)]) from None
            if table == "lines_screened":
                problems = execute(self.problems).fetchall()
                if problems:
                    raise LineError([found for row in problems for found in explain(*row)])

    # --- tables ----------------------------------------------------------------------

    def _prepare(self, project: Project) -> None:
        execute = self.connection.execute
        source = literal(self.publication.source)
        execute("set timezone = 'UTC'; set preserve_insertion_order = true")
        execute(f"attach {literal(self.publication.path)} as published (read_only)")
        for mart in ("return_actions", "return_cost_rates", "entity_history"):
            execute(f"create view {mart} as from published.marts.{mart} where source = {source}")
        execute("create table policy_parameters as from published.scoring.policy_parameters")
        execute("create table policy_guest_ids as from published.scoring.policy_guest_ids")
        execute("create table policy_fx_rates as from published.scoring.policy_fx_rates")
        for name in ("int_source_currencies", "int_ids_excluded", "int_products_deduplicated"):
            execute(f"create view {name} as from published.scoring.{name} where source = {source}")
        execute("create view products as from int_products_deduplicated")
        day = f"date '{self.publication.as_of_date}'"
        execute(f"create view int_sources as select {source} as source, {day} as as_of_date")
        execute(
            "create view ml_return_models as select source, 'run' as record,"
            " 'has_signal' as name, cast(has_signal as double) as value"
            f" from published.marts.model_runs where task = 'return' and source = {source}"
        )
        # nothing is known of what becomes of lines to be
        execute(
            "create table returns as select source, order_line_id, returned_at, match_method"
            " from published.marts.returns limit 0"
        )
        execute(
            "create table int_reviews_resolved (source varchar, customer_id varchar,"
            " product_id varchar, seller_id varchar, reviewed_date date, rating double)"
        )
        execute(self._waiting())

        declared = ", ".join(
            f'"{name}" {"bigint" if name == ROW else "varchar"}' for name in self.table.column_names
        )
        execute(f"create table {LANDED} ({declared})")
        form = dict.fromkeys(self.columns, "VARCHAR") | {ROW: "BIGINT"}
        self.json_form = json.dumps([form])

        execute(
            "create view int_order_lines_unioned as select *, 'sale' as row_kind"
            f" from ({project.model('stg_canonical__order_lines')}) as staged"
        )
        self.problems = PROBLEMS.format(day=day)
        self.steps = {
            "lines_screened": project.model("int_order_lines_screened"),
            "order_lines": ORDER_LINES,
            "int_feature_entities": project.model("int_feature_entities"),
            "int_feature_lines": project.model("int_feature_lines"),
            "own_days": project.model("int_entity_days"),
            "int_entity_days": self._entity_days(),
            "return_features": project.model("return_features"),
            "ml_return_scores": self._margins(),
            "order_return_scores": project.model("order_return_scores"),
        }
        for table, query in self.steps.items():
            execute(f"create table {table} as {query} limit 0")

    def _waiting(self) -> str:
        """What the past does to counters on days to come: undelivered lines, and returns without a
        date, are known when the return window is over (int_feature_lines)."""
        publication = self.publication
        window, day = publication.window_days, f"date '{publication.as_of_date}'"
        entities = " union all ".join(
            f"select '{entity_type}' as entity_type, cast({column} as varchar) as entity_id,"
            f" known_on, gone, returned, unit_price from later where {column} is not null"
            for entity_type, column in ENTITIES.items()
        )
        return f"""
            create table waiting as
            with lines as (
                select * from published.marts.order_lines
                where
                    source = {literal(publication.source)}
                    and ordered_date + {window} > {day}
            ),
            undated as (
                select order_line_id from published.marts.returns
                where
                    source = {literal(publication.source)} and order_line_id is not null
                    and returned_at is null and match_method in ('order_line', 'line_status')
                group by order_line_id
            ),
            later as (
                select
                    lines.*,
                    ordered_date + {window} as known_on,
                    case when not is_sale and cancelled_at is null then 1 else 0 end as gone,
                    case
                        when undated.order_line_id is not null and first_returned_at is null then 1
                        else 0
                    end as returned
                from lines
                left join undated on lines.order_line_id = undated.order_line_id
            )
            select
                entity_type,
                entity_id,
                date_diff('day', date '1970-01-01', known_on) as day_no,
                -sum(gone) as line_count,
                -sum(gone * unit_price) as price_total,
                sum(returned) as returned_line_count
            from ({entities}) as changes
            where gone + returned > 0
            group by entity_type, entity_id, day_no
        """

    def _entity_days(self) -> str:
        """What each entity had behind it on the days of the lines: history, what became known
        since, and the lines before."""

        def counted(name: str) -> str:
            own = f"own_days.{name}_before"
            parts = [f"coalesce(entity_history.{name}, 0)"]
            if name.endswith("total"):
                own = f"cast({own} as decimal(38, 4))"
            parts.append(f"coalesce({own}, 0)")
            if name in ("line_count", "price_total", "returned_line_count"):
                parts.append(f"coalesce(known.{name}, 0)")
            kind = "double" if name.endswith("total") else "int"
            return f"cast({' + '.join(parts)} as {kind}) as {name}_before"

        def day(name: str) -> str:
            return f"date_diff('day', date '1970-01-01', entity_history.{name}_date)"

        needed = " union ".join(
            f"select '{entity_type}' as entity_type, {entity_type}_no as entity_no, day_no"
            f" from int_feature_lines where {entity_type}_no is not null"
            for entity_type in ENTITIES
        )
        return f"""
            with needed as ({needed}),
            named as (
                select needed.*, int_feature_entities.entity_id
                from needed
                inner join int_feature_entities
                    on needed.entity_no = int_feature_entities.entity_no
            ),
            known as (
                select
                    named.entity_no,
                    named.day_no,
                    sum(waiting.line_count) as line_count,
                    cast(sum(waiting.price_total) as decimal(38, 4)) as price_total,
                    sum(waiting.returned_line_count) as returned_line_count,
                    max(case when waiting.returned_line_count > 0 then waiting.day_no end)
                        as last_return_day
                from named
                inner join waiting
                    on
                        named.entity_type = waiting.entity_type
                        and named.entity_id = waiting.entity_id
                        and waiting.day_no < named.day_no
                group by named.entity_no, named.day_no
            )
            select
                named.entity_type,
                named.entity_no,
                named.day_no,
                {", ".join(map(counted, COUNTERS))},
                cast(least({day("first_order")}, own_days.first_order_day_before) as int)
                    as first_order_day_before,
                cast(greatest({day("last_order")}, own_days.last_order_day_before) as int)
                    as last_order_day_before,
                cast(greatest({day("last_return")}, known.last_return_day) as int)
                    as last_return_day_before
            from named
            left join entity_history
                on
                    named.entity_type = entity_history.entity_type
                    and named.entity_id = entity_history.entity_id
            left join known
                on named.entity_no = known.entity_no and named.day_no = known.day_no
            left join own_days
                on named.entity_no = own_days.entity_no and named.day_no = own_days.day_no
        """

    def _margins(self) -> str:
        version = literal(self.version.name)
        return scoring_sql.score_query(
            self.version.model,
            features="return_features",
            keys=f"{CARRIED}, {version} as model_version, true as is_out_of_sample",
        )


SCORED = f"""
select {", ".join(f"scores.{name}" for name in RESULT)}
from order_return_scores as scores
inner join order_lines on scores.order_line_id = order_lines.order_line_id
order by order_lines.{ROW}
"""
# what keeps a line from being scored, as reject_reasons say it
PROBLEMS = f"""
select
    screened.row_number,
    concat_ws(
        ', ',
        screened.reject_reasons,
        case when screened.excluded_by is not null then 'excluded ' || screened.excluded_by end,
        case when cast(screened.ordered_at as date) <= {{day}} then 'too_early ' || {{day}} end,
        case when screened.has_id and screened.repeats > 1 then 'order_line_id_repeated' end,
        case when landed.delivered_at is not null then 'delivered_at_is_later' end,
        case when landed.cancelled_at is not null then 'cancelled_at_is_later' end,
        case when landed.return_status is not null then 'return_status_is_later' end
    ) as reasons
from (
    select *, count(*) over (partition by row_key) as repeats from lines_screened
) as screened
inner join {LANDED} as landed on screened.row_number = landed.row_number
where reasons <> ''
order by screened.row_number
"""
# int_order_lines_resolved and order_lines, of lines of which nothing is known yet but the order
ORDER_LINES = """
select
    screened.* exclude (has_id, row_key, disposition, excluded_by, reject_reasons, quantity),
    case
        when has_id then row_key
        else row_key || '-' || cast(
            row_number() over (partition by row_key order by row_number) as varchar
        )
    end as order_line_id,
    cast(quantity as bigint) as ordered_quantity,
    cast(quantity as bigint) as quantity,
    cast(ordered_at as date) as ordered_date,
    true as is_sale,
    cast(null as timestamp) as first_returned_at,
    'open' as return_class,
    cast(null as boolean) as is_returned,
    false as is_mature,
    cast(0 as decimal(9, 6)) as maturity,
    max(cast(ordered_at as date)) over () as as_of_date
from lines_screened as screened
"""
SENTENCES = {
    "quantity_not_positive": "quantity must be 1 or more",
    "unit_price_negative": "unit_price must not be negative",
    "discount_negative": "discount_amount must not be negative",
    "discount_exceeds_price": "discount_amount exceeds quantity times unit_price",
    "amount_too_large": "quantity times unit_price is too large",
    "no_fx_rate_for_currency_and_month": "currency has no rate in that month (policy_fx_rates)",
    "order_line_id_repeated": "order_line_id stands in another row too",
}


def explain(row: int, reasons: str) -> Iterator[tuple[int, str | None, str]]:
    """Row, column and sentence of each reason."""
    for reason in reasons.split(", "):
        sentence = SENTENCES.get(reason)
        column, _, rest = reason.partition(" ")
        if column == "excluded":
            yield row, None, f"the line is none to score: excluded by policy ({rest})"
        elif column == "too_early":
            day = rest.removeprefix("date ").strip("'")
            said = f"ordered_at must be after {day}, the as-of date of the published file"
            yield row, "ordered_at", f"{said}: earlier lines stand in marts.order_return_scores"
        elif sentence:
            yield row, sentence.split(" ")[0], sentence
        else:
            for ending, said in (
                ("_missing", "is missing"),
                ("_not_a_timestamp", "is no ISO date or timestamp"),
                ("_not_a_whole_number", "is no whole number"),
                ("_not_a_number", "is no number"),
                ("_is_later", "cannot be known of a line that is to be ordered"),
            ):
                if reason.endswith(ending):
                    column = reason.removesuffix(ending)
                    yield row, column, f"{column} {said}"
                    break
            else:
                yield row, None, reason


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict]:
    """The rows of a query by name."""
    found = connection.execute(query)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
