"""Reading one raw file into rows of text: checks first, then one SELECT that DuckDB runs.

A CSV or Parquet file becomes a `Reading`: a SELECT with the columns of its raw table. Headers
are matched by name, never by position, and nothing is guessed. A CSV that DuckDB's strict reader
refuses is read again line by line, so that exactly the broken lines are set aside, each with a
reason.
"""

import codecs
import contextlib
import csv
import gzip
import re
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TextIO

import duckdb

from retour.landing_config import Column, Table, normalised
from retour.settings import nearest

CHUNK_BYTES = 1 << 20
# a quote that is still open after this many lines is a stray one, not a long text
LONGEST_RECORD_LINES = 1_000
# DuckDB reads lines up to 2,000,000 bytes
LONGEST_RECORD_BYTES = 1_900_000
# with more broken lines than this, and more broken than good ones, the file itself is wrong
FEW_BROKEN_LINES = 10
MAGIC = {
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip file or an Excel workbook",
}
BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


class FileProblem(Exception):
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
    """One physical line that cannot become a row."""

    row_number: int
    reason: str
    original_row: str


@dataclass
class Reading:
    """How one file is read.

    `scan` is a SQL table function; `values` maps declared columns to SQL text expressions on it,
    `extras` pairs undeclared headers with theirs.
    """

    encoding: str | None
    scan: str
    row_number: str
    values: dict[str, str]
    extras: list[tuple[str, str]]
    notes: list[str] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    rows_expected: int | None = None

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


def read(conn: duckdb.DuckDBPyConnection, file: RawFile, work: Path) -> Reading:
    """Check a file and say how to read it; `work` is a folder for temporary copies.

    Raises FileProblem if the file as a whole cannot be used.
    """
    with plain_errors():
        if file.path.stat().st_size == 0:
            raise FileProblem("the file is empty (0 bytes): deliver it again, or remove it.")
        if file.format == "parquet":
            return _read_parquet(conn, file)
        return CsvFile(file, work).read()


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what can go wrong with a file on disk into a FileProblem."""
    try:
        yield
    except GZIP_ERRORS as error:
        raise FileProblem(
            f"it is damaged, cut off, or not a gzip file ({error}): deliver it again."
        ) from error
    except OSError as error:
        raise FileProblem(f"it cannot be read: {error.strerror or error}.") from error


def match_headers(
    headers: list[str], table: Table
) -> tuple[dict[str, int], list[tuple[str, int]], list[str]]:
    """Match a file's headers to the columns of its table, by name.

    Returns the position of each column found, undeclared headers with their positions, and notes
    worth recording. Raises FileProblem with every reason why the header cannot be used.
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
        raise FileProblem(*problems)
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


# --- Parquet ---------------------------------------------------------------------------------


def _read_parquet(conn: duckdb.DuckDBPyConnection, file: RawFile) -> Reading:
    path = text(_no_glob(file.path))
    scan = f"read_parquet({path}, binary_as_string = true, hive_partitioning = false"
    try:
        columns = conn.execute(f"describe select * from {scan})").fetchall()
        schema = conn.execute(
            f"select name, coalesce(num_children, 0) from parquet_schema({path})"
        ).fetchall()
        rows = conn.execute(f"select num_rows from parquet_file_metadata({path})").fetchall()[0][0]
    except duckdb.Error as error:
        raise FileProblem(_unreadable_parquet(error)) from error
    # the names as written: in `columns` a repeated one is already renamed
    positions, undeclared, notes = match_headers(_top_level_names(schema), file.table)
    values = [_parquet_text(identifier(name), kind) for name, kind, *_ in columns]
    if not rows:
        notes.append("no rows")
    return Reading(
        encoding=None,
        scan=f"{scan}, file_row_number = true)",
        row_number="file_row_number + 1",
        values={name: values[position] for name, position in positions.items()},
        extras=[(header, values[position]) for header, position in undeclared],
        notes=notes,
        rows_expected=rows,
    )


def _unreadable_parquet(error: duckdb.Error) -> str:
    return (
        "it is damaged, cut off, or not a Parquet file: deliver it again. "
        f"DuckDB says: {_first_line(error)}"
    )


def _top_level_names(schema: list[tuple[str, int]]) -> list[str]:
    """The names of a Parquet file's columns, from its depth-first list of (name, children)."""
    names = []
    nested = 0
    for name, children in schema[1:]:
        if nested:
            nested -= 1
        else:
            names.append(name)
        nested += children if nested or children else 0
    return names


def _parquet_text(column: str, kind: str) -> str:
    """A typed column as text that casts back to the same value; empty text is NULL, as in CSV."""
    if kind == "VARCHAR":
        return f"nullif({column}, '')"
    if kind in ("DOUBLE", "FLOAT"):
        # ids that a spreadsheet made numbers stay ids: 13085, not 13085.0; NaN means no value
        return (
            f"case when isnan({column}) then null "
            f"when {column} = trunc({column}) and abs({column}) < 1e18 "
            f"then cast(cast({column} as bigint) as varchar) "
            f"else cast({column} as varchar) end"
        )
    if kind == "TIMESTAMP WITH TIME ZONE":
        # its text would depend on the session's time zone
        return f"cast({column} at time zone 'UTC' as varchar)"
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP")):
        return f"cast(to_json({column}) as varchar)"
    return f"cast({column} as varchar)"


# --- CSV -------------------------------------------------------------------------------------


class CsvFile:
    """One CSV file. DuckDB reads UTF-8 directly; other encodings are rewritten as UTF-8 first."""

    def __init__(self, file: RawFile, work: Path) -> None:
        self.file = file
        self.table = file.table
        self.work = work
        self.utf8 = file.path
        self.is_gzip = file.format == "csv.gz"

    def read(self) -> Reading:
        """Check encoding and header; DuckDB's strict reader does the rest."""
        encoding, is_clean = self._settle_encoding()
        headers = self._headers()
        positions, undeclared, notes = match_headers(headers, self.table)
        names = [f"c{position}" for position in range(len(headers))]
        self.reading = Reading(
            encoding=encoding,
            scan=self._scan(self.utf8, names, header=True, is_gzip=self.is_gzip),
            row_number="row_number() over ()",
            values={name: names[position] for name, position in positions.items()},
            extras=[(header, names[position]) for header, position in undeclared],
            notes=notes,
        )
        self.names = names
        return self.reading if is_clean else self.read_line_by_line()

    def read_line_by_line(self) -> Reading:
        """Read again what the strict reader refuses: good lines to a copy, broken ones aside."""
        copy = self.work / "lines.csv"
        rejected, landed = [], 0
        with self._open_text() as lines, copy.open("w", encoding="utf-8", newline="") as good:
            records = split_records(lines, self.table.delimiter, len(self.names))
            next((record for record, _ in records if record), None)  # the header
            for row_number, (record, fault) in enumerate(records, start=1):
                if fault is None:
                    landed += 1
                    good.write(f"{row_number}{self.table.delimiter}{record}\n")
                else:
                    rejected.append(Rejected(row_number, fault, _printable(record)))
        if len(rejected) > max(FEW_BROKEN_LINES, landed):
            first = rejected[0]
            raise FileProblem(
                f"{len(rejected):,} of {len(rejected) + landed:,} lines cannot be read, the first "
                f"is row {first.row_number} ({first.reason}): {first.original_row[:80]!r}. "
                f"Check quotes, line ends and the delimiter ({self.table.delimiter!r})."
            )
        self.reading.scan = self._scan(copy, ["row_number", *self.names], header=False)
        self.reading.row_number = "cast(row_number as bigint)"
        self.reading.rejected = rejected
        self.reading.rows_expected = landed
        return self.reading

    def _scan(self, path: Path, names: list[str], *, header: bool, is_gzip: bool = False) -> str:
        columns = ", ".join(f"{text(name)}: 'VARCHAR'" for name in names)
        return (
            f"read_csv({text(_no_glob(path))}, auto_detect = false, "
            f"header = {'true' if header else 'false'}, columns = {{{columns}}}, "
            f"delim = {text(self.table.delimiter)}, quote = '\"', escape = '\"', comment = '', "
            "strict_mode = true, null_padding = false, ignore_errors = false, "
            f"hive_partitioning = false, compression = '{'gzip' if is_gzip else 'none'}')"
        )

    def _settle_encoding(self) -> tuple[str, bool]:
        """The first declared encoding that fits, and whether DuckDB can read the file as it is."""
        first = self._first_bytes()
        if not first.strip():
            raise FileProblem("the file is empty: there is not even a header.")
        for magic, kind in MAGIC.items():
            if first.startswith(magic):
                raise FileProblem(f"it is named {self.file.format} but it is {kind}: rename it.")
        # "a\0b\0": every second byte of western text in UTF-16
        is_utf16 = first.startswith(BYTE_ORDER_MARKS) or first.count(0) > len(first) // 4
        failures = []
        for encoding in self.table.encodings:
            name = codecs.lookup(encoding).name
            if is_utf16 and not name.startswith("utf-16"):
                failures.append("it looks like UTF-16")
                continue
            if name in ("utf-8", "utf-8-sig", "ascii"):
                failure, is_clean = self._check_utf8()
            else:
                failure, is_clean = self._rewrite_as_utf8(name)
            if failure is None:
                # a blank line before the header, which DuckDB would take for the header
                return encoding, is_clean and first.lstrip(codecs.BOM_UTF8)[:1] not in b"\r\n"
            failures.append(failure)
        wanted = "utf-16" if is_utf16 else "latin-1"
        declared = ", ".join(self.table.encodings)
        raise FileProblem(
            f"it is not in a declared encoding ({declared}): {failures[0]}. Save it as UTF-8, or "
            f"declare `encodings: [{declared}, {wanted}]` in {self.table.yaml_file}."
        )

    def _check_utf8(self) -> tuple[str | None, bool]:
        """Why the file is not UTF-8 (None if it is), and whether it is free of damage."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        has_nul = False
        try:
            for chunk in self._chunks():
                has_nul = has_nul or b"\0" in chunk
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return self._check_damage()
        return None, not has_nul

    def _check_damage(self) -> tuple[str | None, bool]:
        """Tell a UTF-8 file with broken lines from a file in another encoding.

        UTF-8 has its own pattern of bytes beyond ASCII: if at least as many lines follow it as
        break it, the broken ones are damage and only they are rejected.
        """
        valid, broken, first = 0, 0, ""
        with self._open_bytes() as lines:
            for number, line in enumerate(lines, start=1):
                if line.isascii():
                    continue
                try:
                    line.decode("utf-8")
                    valid += 1
                except UnicodeDecodeError as error:
                    broken += 1
                    first = first or f"line {number} has the byte 0x{line[error.start]:02X}"
        if valid >= broken:
            return None, False
        return f"{first}, which is not UTF-8", False

    def _rewrite_as_utf8(self, encoding: str) -> tuple[str | None, bool]:
        """Copy the file as UTF-8; why it is not in `encoding` (None if it is), and if it is clean."""
        copy = self.work / "utf8.csv"
        decoder = codecs.getincrementaldecoder(encoding)()
        has_nul = False
        try:
            with copy.open("wb") as out:
                for chunk in self._chunks():
                    decoded = decoder.decode(chunk)
                    has_nul = has_nul or "\0" in decoded
                    out.write(decoded.encode("utf-8"))
                out.write(decoder.decode(b"", final=True).encode("utf-8"))
        except UnicodeError as error:
            return f"it is not {encoding} either ({error})", False
        self.utf8, self.is_gzip = copy, False
        return None, not has_nul

    def _headers(self) -> list[str]:
        """The names in the header, in file order, without blanks around them."""
        with self._open_text() as lines:
            reader = csv.reader(lines, delimiter=self.table.delimiter, strict=True)
            try:
                headers = next(record for record in reader if record)
            except (csv.Error, StopIteration) as error:
                raise FileProblem(
                    f"the header cannot be read ({error}): check its quotes."
                ) from error
        headers = [_printable(header).strip() for header in headers]
        if len(headers) == 1:
            for delimiter in (";", "\t", "|", ","):
                if delimiter != self.table.delimiter and headers[0].count(delimiter):
                    raise FileProblem(
                        f"the header is not separated by {self.table.delimiter!r} but, it seems, "
                        f"by {delimiter!r}: declare `delimiter: {delimiter!r}` under `landing` "
                        f"in {self.table.yaml_file}."
                    )
        return headers

    def _first_bytes(self) -> bytes:
        with self._open_bytes() as stream:
            return stream.read(4096)

    def _open_bytes(self) -> IO[bytes]:
        return gzip.open(self.utf8, "rb") if self.is_gzip else self.utf8.open("rb")

    def _open_text(self) -> TextIO:
        """The lines with their own ends; bytes that are not UTF-8 stay as lone surrogates."""
        options = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
        if self.is_gzip:
            return gzip.open(self.utf8, "rt", **options)
        return self.utf8.open("r", **options)

    def _chunks(self) -> Iterator[bytes]:
        with self._open_bytes() as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk


def split_records(
    lines: TextIO, delimiter: str, width: int
) -> Iterator[tuple[str, str | None]]:
    """Split physical lines into records of `width` values and say what is wrong with each.

    Yields (record without its line end, fault or None); the rules are those of DuckDB's strict
    reader: blank lines are no records, empty values beyond the last column are forgiven. Where a
    quote never closes, its line is rejected alone and reading goes on with the next one.
    """
    quoted = ' *"[^"]*(?:""[^"]*)*'
    value = rf'(?:{quoted}" *|(?! *")[^{re.escape(delimiter)}]*)'
    separator = re.escape(delimiter)
    is_whole = re.compile(rf"{value}(?:{separator}{value})*", re.DOTALL).fullmatch
    is_open = re.compile(rf"(?:{value}{separator})*{quoted}", re.DOTALL).fullmatch
    values_of = re.compile(rf"(?:^|{separator})({value})", re.DOTALL).findall
    waiting: deque[str] = deque()

    def next_line() -> str | None:
        return waiting.popleft() if waiting else next(lines, None)

    while (line := next_line()) is not None:
        record = line.rstrip("\r\n")
        if not record and width > 1:
            continue
        if '"' not in record:
            yield record, _fault(record, record.split(delimiter), width)
            continue
        taken = [line]
        while is_open(record) and len(taken) < LONGEST_RECORD_LINES:
            if not _take_until_quote(next_line, taken):
                break
            record = "".join(taken).rstrip("\r\n")
        if is_whole(record):
            yield record, _fault(record, values_of(record), width)
        else:
            waiting.extendleft(reversed(taken[1:]))
            yield line.rstrip("\r\n"), "quote_not_closed"


def _take_until_quote(next_line: Callable[[], str | None], taken: list[str]) -> bool:
    """Append lines up to the next one with a quote in it; False if there is none."""
    while len(taken) < LONGEST_RECORD_LINES and (line := next_line()) is not None:
        taken.append(line)
        if '"' in line:
            return True
    return False


def _fault(record: str, values: list[str], width: int) -> str | None:
    """Why a record cannot become a row."""
    if "\0" in record:
        return "nul_byte"
    if not record.isascii():
        try:
            record.encode("utf-8")
        except UnicodeEncodeError:
            return "not_utf_8"
    if len(values) < width:
        return "too_few_values"
    if any(values[width:]):
        return "too_many_values"
    if len(record) * 4 > LONGEST_RECORD_BYTES < len(record.encode("utf-8")):
        return "line_too_long"
    return None


def _printable(record: str) -> str:
    """Text with undecodable bytes and NULs written as escapes."""
    raw = record.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _no_glob(path: Path) -> str:
    """A path whose own *, ? and [ mean themselves."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
