"""Scores of order lines to be: the numbers that order_return_scores would hold after a rebuild.

Lines go through tables of their own in memory (`retour.scoring_tables`), scored by the saved model
that the published file names. Nothing is written to any of it.

Every step is an INSERT, all of them in a transaction that is rolled back: the next lines find empty
tables.
"""

import contextlib
import csv
import json
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import duckdb

from ml import batches
from retour import line_errors
from retour.build import project_root
from retour.errors import RetourError
from retour.landing.config import Table, load_configs
from retour.landing.csv_files import CsvFile
from retour.landing.parquet_files import read_parquet
from retour.landing.reading import FileError, RawFile, Reading, cannot_be_read, plain_errors
from retour.line_errors import LineError
from retour.publication import read_publication, saved_model
from retour.rendering import Project
from retour.scoring_tables import LANDED, ROW, prepare
from retour.settings import did_you_mean

# of a line that is only about to be ordered nobody knows these
LATER = ("delivered_at", "cancelled_at", "return_status")
KEY = "order_line_id"
SCORE = (
    *("order_line_id", "return_probability", "risk_band", "expected_cost"),
    *("recommended_action", "action_stage", "expected_gain", "model_version"),
    # log_odds = base + the contributions of the reasons + rest
    *("log_odds", "base", "rest"),
)
REASON = ("feature_group", "feature", "value", "contribution", "sentence")
REASONS = (1, 2, 3)
# a column each, as a file has them
RESULT = (*SCORE, *(f"reason_{rank}_{name}" for rank in REASONS for name in REASON))


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
        day = f"date '{self.publication.as_of_date}'"
        self.problems = line_errors.PROBLEMS.format(landed=LANDED, day=day)
        self.scored = _scored(self.version.model.intercept)
        form = dict.fromkeys(self.columns, "VARCHAR") | {ROW: "BIGINT"}
        self.json_form = json.dumps([form])
        try:
            self.steps = prepare(
                self.connection, self.publication, self.version, project, self.table
            )
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
            found = self.connection.execute(self.scored)
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
            return [nested(row) for row in rows(self.connection, self.scored)]

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
            if table == "return_features" and self.version.rival:
                batches.score(
                    self.connection,
                    self.version.rival,
                    lines=table,
                    where="true",
                    into="rival_margins",
                )
            if table == "lines_screened":
                problems = execute(self.problems).fetchall()
                if problems:
                    raise LineError(
                        [found for row in problems for found in line_errors.explain(*row)]
                    )


def nested(row: dict) -> dict:
    """A score with a list of its reasons."""
    reasons = [{name: row[f"reason_{rank}_{name}"] for name in REASON} for rank in REASONS]
    said = [reason for reason in reasons if reason["feature_group"] is not None]
    return {name: row[name] for name in SCORE} | {"reasons": said}


def _scored(base: float) -> str:
    """The columns of RESULT in the order in which the lines came."""
    reasons = "".join(
        f", max(case when rank = {rank} then {name} end) as reason_{rank}_{name}"
        for rank in REASONS
        for name in REASON
    )
    given = ", ".join(f"scores.{name}" for name in SCORE if name not in ("base", "rest"))
    columns = ", ".join(f"reason_{rank}_{name}" for rank in REASONS for name in REASON)
    return f"""
        with reasons as (
            select order_line_id{reasons}, sum(contribution) as listed
            from order_return_reasons
            group by order_line_id
        )
        select
            {given},
            {base!r}::double as base,
            scores.log_odds - {base!r}::double - coalesce(reasons.listed, 0) as rest,
            {columns}
        from order_return_scores as scores
        inner join order_lines on scores.order_line_id = order_lines.order_line_id
        left join reasons on scores.order_line_id = reasons.order_line_id
        order by order_lines.{ROW}
    """


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict]:
    """The rows of a query by name."""
    found = connection.execute(query)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
