"""Reading a CSV file: encoding and header checked first, then DuckDB's strict reader.

A file that the strict reader refuses is read again line by line, so that exactly the broken lines
are set aside, each with a reason.
"""

import codecs
import csv
import gzip
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TextIO

from retour.landing.reading import (
    FileError,
    RawFile,
    Reading,
    Rejected,
    match_headers,
    no_glob,
    plain_errors,
    text,
)

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
        reading = Reading(
            encoding=encoding,
            scan=self._scan(self.utf8, names, header=True, is_gzip=self.is_gzip),
            row_number="row_number() over ()",
            values={name: names[position] for name, position in positions.items()},
            extras=[(header, names[position]) for header, position in undeclared],
            notes=notes,
        )
        reading.line_by_line = partial(self._line_by_line, reading, names)
        return reading if is_clean else reading.line_by_line()

    def _line_by_line(self, reading: Reading, names: list[str]) -> Reading:
        """Read what the strict reader refuses: good lines go to a copy, broken ones aside.

        Their numbers go with the good lines, so that a row keeps its number in the file.
        """
        copy = self.work / "lines.csv"
        rejected, landed = [], 0
        with (
            plain_errors(),
            self._open_text() as lines,
            copy.open("w", encoding="utf-8", newline="") as good,
        ):
            records = split_records(lines, self.table.delimiter, len(names))
            next((record for record, _ in records if record), None)  # the header
            for row_number, (record, fault) in enumerate(records, start=1):
                if fault is None:
                    landed += 1
                    good.write(f"{row_number}{self.table.delimiter}{record}\n")
                else:
                    rejected.append(Rejected(row_number, fault, _printable(record)))
        if len(rejected) > max(FEW_BROKEN_LINES, landed):
            first = rejected[0]
            raise FileError(
                f"{len(rejected):,} of {len(rejected) + landed:,} lines cannot be read, the first "
                f"is row {first.row_number} ({first.reason}): {first.original_row[:80]!r}. "
                f"Check quotes, line ends and the delimiter ({self.table.delimiter!r})."
            )
        return replace(
            reading,
            scan=self._scan(copy, ["row_number", *names], header=False),
            row_number="cast(row_number as bigint)",
            rejected=rejected,
            rows_expected=landed,
            line_by_line=None,
        )

    def _scan(self, path: Path, names: list[str], *, header: bool, is_gzip: bool = False) -> str:
        columns = ", ".join(f"{text(name)}: 'VARCHAR'" for name in names)
        # DuckDB takes the first line end it sees, which without a header may stand inside quotes
        newline = "" if header else "new_line = '\\n', "
        return (
            f"read_csv({text(no_glob(path))}, auto_detect = false, "
            f"header = {'true' if header else 'false'}, columns = {{{columns}}}, "
            f"delim = {text(self.table.delimiter)}, quote = '\"', escape = '\"', comment = '', "
            "strict_mode = true, null_padding = false, ignore_errors = false, "
            f"{newline}hive_partitioning = false, "
            f"compression = '{'gzip' if is_gzip else 'none'}')"
        )

    def _settle_encoding(self) -> tuple[str, bool]:
        """The first declared encoding that fits, and whether DuckDB can read the file as it is."""
        first = self._first_bytes()
        if not first.strip():
            raise FileError("the file is empty: there is not even a header.")
        for magic, kind in MAGIC.items():
            if first.startswith(magic):
                raise FileError(f"it is named {self.file.format} but it is {kind}: rename it.")
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
        raise FileError(
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
        """Copy the file as UTF-8; the same two answers for another encoding."""
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
                raise FileError(
                    f"the header cannot be read ({error}): check its quotes."
                ) from error
        headers = [_printable(header).strip() for header in headers]
        if len(headers) == 1:
            for delimiter in (";", "\t", "|", ","):
                if delimiter != self.table.delimiter and headers[0].count(delimiter):
                    raise FileError(
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


def split_records(lines: TextIO, delimiter: str, width: int) -> Iterator[tuple[str, str | None]]:
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
            yield line.rstrip("\r\n"), "broken_quotes"


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
