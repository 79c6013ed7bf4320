"""Parquet and CSV: a folder with a file per table and a manifest."""

from pathlib import Path

from retour.export import Job
from retour.export.contract import Column, Table
from retour.export.folder import replacing
from retour.landing.reading import no_glob
from retour.publish import literal

ERRORS = ()

# A spreadsheet takes a text for a formula if it begins so: those of OWASP, and the wide forms that
# some locales read the same way
FORMULA = r"^[=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"


def write(job: Job) -> None:
    """Export to Parquet or CSV."""
    is_csv = job.to == "csv"
    escape = is_csv and job.escape
    formulas = "texts that begin like a formula are preceded by '" if escape else "as they are"
    with replacing(job, formulas) as folder:
        for table in job.tables:
            file = folder.file(table, f".{job.to}")
            relation = job.source.relation(table)
            select = f"select {', '.join(values(table, escape, is_csv))} from {relation}"
            options = "format parquet, compression zstd"
            if is_csv:
                options = f"format csv, header true{quoted_texts(table)}"
            expected = job.source.figures(table)
            with job.exporting(table, expected) as arrived:
                job.source.connection.execute(f"copy ({select}) to {literal(file)} ({options})")
                arrived(job.source.figures(table, reading(table, file, is_csv)))
            folder.add(table, file, expected)


def values(table: Table, escape: bool, is_csv: bool) -> list[str]:
    """The columns of a table as they are written."""
    return [value(column, escape) if is_csv else column.quoted for column in table.columns]


def value(column: Column, escape: bool) -> str:
    """A column for CSV: of texts, NUL becomes U+FFFD, and what looks like a formula is escaped."""
    if not column.is_text:
        return column.quoted
    clean = without_nul(column)
    if not escape:
        return f"{clean} as {column.quoted}"
    return (
        f"case when regexp_matches({column.quoted}, {literal(FORMULA)}) then '''' || {clean}"
        f" else {clean} end as {column.quoted}"
    )


def without_nul(column: Column) -> str:
    """A text column without NUL, which hardly any tool can read."""
    return f"replace({column.quoted}, chr(0), chr(65533))"


def quoted_texts(table: Table) -> str:
    """The option that puts quotes around texts, which tells an empty one from NULL."""
    texts = ", ".join(column.quoted for column in table.columns if column.is_text)
    return f", force_quote ({texts})" if texts else ""


def reading(table: Table, file: Path, is_csv: bool) -> str:
    """The file as a relation, read with the table's types."""
    place = literal(no_glob(file))
    if not is_csv:
        return f"read_parquet({place}, hive_partitioning = false)"
    columns = ", ".join(f"{literal(column.name)}: '{column.type}'" for column in table.columns)
    return (
        f"read_csv({place}, auto_detect = false, header = true, delim = ',', quote = '\"',"
        f" escape = '\"', columns = {{{columns}}}, hive_partitioning = false,"
        " allow_quoted_nulls = false, max_line_size = 100000000, parallel = false)"
    )


def spooled(job: Job, table: Table, expressions: list[str]) -> Path:
    """Write a table into the spool as the CSV that databases load: NULL bare, texts quoted."""
    file = job.spool / "table.csv"
    job.source.connection.execute(
        f"copy (select {', '.join(expressions)} from {job.source.relation(table)})"
        f" to {literal(file)} (format csv, header false, nullstr 'NULL'{quoted_texts(table)})"
    )
    return file
