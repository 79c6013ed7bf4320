"""What reading any file has in common: headers matched by name, one SELECT, plain errors."""

import contextlib
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from retour.landing.config import Column, Table, normalised
from retour.settings import nearest


class FileError(Exception):
    """Why a whole file cannot be landed: one sentence per problem."""

    def __init__(self, *problems: str) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class RawFile:
    """One file to land: `name` is its posix path relative to the raw folder."""

    source: str
    name: str
    path: Path
    table: Table

    @property
    def format(self) -> str:
        """csv, csv.gz or parquet."""
        lower = self.name.lower()
        return next(format for format in ("csv.gz", "csv", "parquet") if lower.endswith(format))


@dataclass(frozen=True)
class Rejected:
    """One physical line that cannot become a row.

    `reason` is too_few_values, too_many_values, broken_quotes, not_utf_8, nul_byte or
    line_too_long.
    """

    row_number: int
    reason: str
    original_row: str


@dataclass
class Reading:
    """How one file is read.

    `scan` is a SQL table function; `values` maps declared columns to SQL text expressions on it,
    `extras` pairs undeclared headers with theirs. `rows_expected` is None if only reading tells.
    """

    encoding: str | None
    scan: str
    row_number: str
    values: dict[str, str]
    extras: list[tuple[str, str]]
    notes: list[str] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    rows_expected: int | None = None
    # another way to read the file, for when DuckDB refuses this one
    line_by_line: Callable[[], "Reading"] | None = None

    def select(self, file: RawFile) -> str:
        """The SELECT whose columns are `file.table.column_names`."""
        extras = "null"
        if self.extras:
            pairs = ", ".join(f"{text(header)}, {value}" for header, value in self.extras)
            extras = f"cast(json_object({pairs}) as varchar)"
        columns = [
            text(file.source),
            text(file.name),
            self.row_number,
            *(self.values.get(column.name, "null") for column in file.table.columns),
            extras,
        ]
        return f"select {', '.join(columns)} from {self.scan}"

    def message(self) -> str | None:
        """What is worth knowing about the file, or None."""
        notes = list(self.notes)
        if self.rejected:
            reasons = Counter(line.reason for line in self.rejected)
            counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
            notes.append(f"lines rejected: {counts}")
        return "; ".join(notes) or None


def text(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what can go wrong with a file on disk into a FileError."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileError(
            f"it is damaged, cut off, or not a gzip file ({error}): deliver it again."
        ) from error
    except OSError as error:
        raise FileError(f"it cannot be read: {error.strerror or error}.") from error


def match_headers(
    headers: list[str], table: Table
) -> tuple[dict[str, int], list[tuple[str, int]], list[str]]:
    """Match a file's headers to the columns of its table, by name.

    Returns the position of each column found, undeclared headers with their positions, and notes
    worth recording. Raises FileError with every reason why the header cannot be used.
    """
    problems = []
    for header, count in Counter(headers).items():
        if header and count > 1:
            problems.append(
                f"the header '{header}' stands {count} times: rename or remove all but one."
            )
    found: dict[str, int] = {}
    undeclared: list[tuple[str, int]] = []
    for position, header in enumerate(headers):
        key = normalised(header)
        column = next((column for column in table.columns if key in column.keys), None)
        if column is None or not key:
            undeclared.append((header or f"(column {position + 1})", position))
        elif column.name not in found:
            found[column.name] = position
        elif header != headers[found[column.name]]:
            problems.append(
                f"'{headers[found[column.name]]}' and '{header}' both mean the column "
                f"{column.name}: remove or rename one of them."
            )
    missing = [column for column in table.columns if column.name not in found]
    notes = []
    for column in missing:
        similar = _similar_header(column, [header for header, _ in undeclared])
        if column.required:
            problems.append(_missing(column, similar, headers, table))
        elif similar:
            notes.append(f"no column {column.name}: did you mean '{similar}' -> '{column.name}'?")
    if problems:
        raise FileError(*problems)
    if undeclared:
        names = ", ".join(header for header, _ in undeclared)
        notes.insert(0, f"undeclared columns, kept in extra_columns: {names}")
    return found, undeclared, notes


def _similar_header(column: Column, undeclared: list[str]) -> str | None:
    """The undeclared header that looks like a misspelling of a column."""
    by_key = {normalised(header): header for header in undeclared}
    for name in sorted(column.keys):
        close = nearest(name, by_key, cutoff=0.75)
        if close:
            return by_key[close]
    return None


def _missing(column: Column, similar: str | None, headers: list[str], table: Table) -> str:
    """The sentence for a required column that no header matches."""
    known = ", ".join(f"'{name}'" for name in dict.fromkeys((column.name, *column.headers)))
    if similar:
        return (
            f"the required column '{column.name}' is missing. Did you mean '{similar}' -> "
            f"'{column.name}'? Rename it in the file, or add it to the `headers` of "
            f"{column.name} in {table.yaml_file}."
        )
    shown = ", ".join(f"'{header}'" for header in headers[:30])
    return (
        f"the required column '{column.name}' is missing: no header is {known}. "
        f"The file has {shown}."
    )


def no_glob(path: Path) -> str:
    """A path whose own *, ? and [ mean themselves."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def cannot_be_read(error: duckdb.Error) -> str:
    """The sentence for a file that DuckDB refuses."""
    return f"it cannot be read. DuckDB says: {first_line(error)}"


def first_line(error: Exception) -> str:
    """The first line of an error; DuckDB's others are hints for people who write SQL."""
    return str(error).strip().splitlines()[0]
