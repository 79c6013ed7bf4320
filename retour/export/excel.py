"""Excel: a workbook per table, with a sheet of what its columns are; more sheets where rows do not
fit into one.

Texts are written as texts, so that nothing is a formula or a link; those that begin like a formula
also get Excel's own mark for "this is text", which outlives editing. Numbers stay numbers as long
as Excel can hold them: it keeps 15 digits, so a number with more is written as text.
"""

import re
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import xlsxwriter

from retour.export import Job
from retour.export.contract import EXACTLY, Column, Figures, Table
from retour.export.folder import replacing

ERRORS = (xlsxwriter.exceptions.XlsxWriterException,)
ROWS = 1_048_576  # of a sheet, the header included
CHARACTERS = 32_767  # of a cell
DIGITS = 15
BATCH = 2_000
FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
CUT = " […]"
SPREADSHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def write(job: Job) -> None:
    """Export to Excel."""
    formulas = "texts are texts; those that begin like a formula are marked as text"
    with replacing(job, formulas if job.escape else "texts are texts") as folder:
        for table in job.tables:
            file = folder.file(table, ".xlsx")
            expected = job.source.figures(table)
            with job.exporting(table, expected) as arrived:
                cut = write_workbook(job, table, file, expected.rows)
                arrived(read_workbook(table, file))
            if cut:
                job.say(f"{table.qualified}: {cut:,} texts were cut, Excel holds {CHARACTERS:,}")
            folder.add(table, file, expected, texts_cut=cut)


def write_workbook(job: Job, table: Table, file: Path, rows: int) -> int:
    """Write a table; the number of texts that were too long for a cell."""
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": False,
        "tmpdir": str(job.spool),
    }
    cut = 0
    with xlsxwriter.Workbook(file, options) as book:
        # equal input, equal file
        book.set_properties({"created": job.source.published_at})
        formats = {
            "head": book.add_format({"bold": True}),
            "quoted": book.add_format({"quote_prefix": True}) if job.escape else None,
            "DATE": book.add_format({"num_format": "yyyy-mm-dd"}),
            "TIMESTAMP": book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        }
        cursor = job.source.connection.cursor()
        cursor.execute(f"select * from {job.source.relation(table)}")
        for name in sheet_names(table.name, rows):
            sheet = book.add_worksheet(name)
            sheet.freeze_panes(1, 0)
            for position, column in enumerate(table.columns):
                sheet.write_string(0, position, column.name, formats["head"])
            last = 0
            while last < ROWS - 1 and (batch := cursor.fetchmany(min(BATCH, ROWS - 1 - last))):
                for row in batch:
                    last += 1
                    for position, value in enumerate(row):
                        if value is not None:
                            kind = table.columns[position].type
                            cut += write_cell(sheet, last, position, value, kind, formats)
            sheet.autofilter(0, 0, last, len(table.columns) - 1)
        describe(book, table, formats["head"])
    return cut


def write_cell(
    sheet: Any, row: int, column: int, value: Any, kind: str, formats: dict[str, Any]
) -> int:
    """Write one value; 1 if it is a text that had to be cut."""
    if kind == "VARCHAR":
        content = value.replace("\0", "\ufffd")
        is_cut = len(content.encode("utf-16-le")) // 2 > CHARACTERS
        if is_cut:
            # characters beyond the first plane count twice there
            short = content.encode("utf-16-le")[: 2 * (CHARACTERS - len(CUT))]
            content = short.decode("utf-16-le", errors="ignore") + CUT
        quoted = formats["quoted"] if FORMULA.match(content) else None
        sheet.write_string(row, column, content, quoted)
        return int(is_cut)
    if kind == "BOOLEAN":
        sheet.write_boolean(row, column, value)
    elif kind in ("DATE", "TIMESTAMP"):
        if value.year >= 1900:
            sheet.write_datetime(row, column, value, formats[kind])
        else:
            # the calendar of Excel begins later
            sheet.write_string(row, column, str(value))
    elif kind in ("DOUBLE", "FLOAT"):
        if value == value and abs(value) != float("inf"):
            sheet.write_number(row, column, value)
        else:
            sheet.write_string(row, column, str(value))
    elif len(f"{abs(value):f}".replace(".", "").strip("0")) > DIGITS:
        sheet.write_string(row, column, f"{value:f}" if isinstance(value, Decimal) else str(value))
    else:
        sheet.write_number(row, column, value)
    return 0


def sheet_names(name: str, rows: int) -> list[str]:
    """The names of as many sheets as the rows need: at most 31 characters, none of []:*?/\\."""
    clean = re.sub(r"[\[\]:*?/\\\0]", "_", name).strip("'")[:25] or "table"
    count = max(1, -(-rows // (ROWS - 1)))
    return [clean] + [f"{clean} ({number})" for number in range(2, count + 1)]


def describe(book: Any, table: Table, head: Any) -> None:
    """The last sheet: what a row is, and what the columns are."""
    sheet = book.add_worksheet("what is what")
    sheet.set_column(0, 0, 30)
    sheet.set_column(2, 2, 100)
    sheet.write_string(0, 0, table.qualified[:CHARACTERS], head)
    sheet.write_string(0, 2, (table.description or "")[:CHARACTERS])
    for row, column in enumerate(table.columns, start=2):
        sheet.write_string(row, 0, column.name)
        sheet.write_string(row, 1, column.type)
        sheet.write_string(row, 2, (column.description or "")[:CHARACTERS])


# verification: the finished file is read with another library


def read_workbook(table: Table, file: Path) -> Figures:
    """The figures of a workbook, read back from its XML."""
    rows, filled = 0, [0] * len(table.columns)
    exact = [position for position, column in enumerate(table.columns) if column.is_exact]
    sums: dict[int, Decimal] = {}
    with zipfile.ZipFile(file) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
        # the last one describes the columns
        for name in sorted(sheets, key=sheet_number)[:-1]:
            for number, cells in sheet_rows(archive, name):
                if number == 1:
                    continue
                rows += 1
                for position, content in cells:
                    filled[position] += 1
                    if position in exact:
                        number = number_of(content, table.columns[position])
                        sums[position] = EXACTLY.add(sums.get(position, Decimal(0)), number)
    found = tuple(sums.get(position) for position in exact)
    return Figures(rows, tuple(filled), found, table.columns)


def sheet_number(name: str) -> int:
    return int(re.findall(r"\d+", name)[-1])


def sheet_rows(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Number and filled cells (position, content) of each row of a sheet."""
    with archive.open(name) as file:
        for _, element in ElementTree.iterparse(file):
            if element.tag == f"{SPREADSHEET}row":
                cells = []
                for cell in element:
                    value = cell.find(f"{SPREADSHEET}v")
                    if value is None:
                        value = cell.find(f"{SPREADSHEET}is/{SPREADSHEET}t")
                    if value is not None:
                        cells.append((position_of(cell.get("r", "")), value.text or ""))
                yield int(element.get("r", "0")), cells
                element.clear()


def position_of(reference: str) -> int:
    """0 for A1, 26 for AA7."""
    position = 0
    for letter in reference.rstrip("0123456789"):
        position = position * 26 + ord(letter) - 64
    return position - 1


def number_of(content: str, column: Column) -> Decimal:
    """A cell as the number that it shows, with the digits of its column."""
    scale = column.precision[1] if column.type.startswith("DECIMAL") else 0
    return EXACTLY.quantize(Decimal(content), Decimal(1).scaleb(-scale))
