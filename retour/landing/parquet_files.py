"""Reading a Parquet file: typed columns become text that casts back to the same values."""

import duckdb

from retour.landing.reading import (
    FileError,
    RawFile,
    Reading,
    first_line,
    identifier,
    match_headers,
    no_glob,
    text,
)


def read_parquet(conn: duckdb.DuckDBPyConnection, file: RawFile) -> Reading:
    """Check the schema of a Parquet file and say how to read it as text."""
    path = text(no_glob(file.path))
    scan = f"read_parquet({path}, binary_as_string = true, hive_partitioning = false"
    try:
        columns = conn.execute(f"describe select * from {scan})").fetchall()
        schema = conn.execute(
            f"select name, coalesce(num_children, 0) from parquet_schema({path})"
        ).fetchall()
        rows = conn.execute(f"select num_rows from parquet_file_metadata({path})").fetchall()[0][0]
    except duckdb.Error as error:
        raise FileError(
            f"it is damaged, cut off, or not a Parquet file. DuckDB says: {first_line(error)}"
        ) from error
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
