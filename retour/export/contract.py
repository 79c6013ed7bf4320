"""What a published file says of itself, and what is compared after an export."""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal
from pathlib import Path

import duckdb

from retour.errors import RetourError
from retour.publish import PUBLIC_SCHEMAS, literal, quoted, unpublished, unreadable

# added up on both sides: exact, whatever the order
EXACT = re.compile(r"(DECIMAL\(.*|U?(TINY|SMALL|BIG)INT|U?INTEGER)")
EXACTLY = Context(prec=80)
KNOWN = re.compile(
    r"DECIMAL\(\d+,\d+\)|(TINY|SMALL|BIG)INT|INTEGER|DOUBLE|FLOAT|VARCHAR|BOOLEAN|DATE|TIMESTAMP"
)


@dataclass(frozen=True)
class Column:
    """A column: `type` is DuckDB's, one of KNOWN."""

    name: str
    type: str
    is_required: bool
    description: str | None

    @property
    def quoted(self) -> str:
        return quoted(self.name)

    @property
    def is_exact(self) -> bool:
        """Whether the sum of the column is the same in any order."""
        return EXACT.fullmatch(self.type) is not None

    @property
    def adds_up(self) -> bool:
        """Whether DuckDB can add up any number of rows that a table can have."""
        return not self.type.startswith("DECIMAL") or self.precision[0] <= 28

    @property
    def is_text(self) -> bool:
        return self.type == "VARCHAR"

    @property
    def precision(self) -> tuple[int, int]:
        """Precision and scale of a DECIMAL."""
        precision, scale = re.findall(r"\d+", self.type)
        return int(precision), int(scale)


@dataclass(frozen=True)
class Table:
    """A table of the published file; `key` is empty if nothing tells its rows apart."""

    schema: str
    name: str
    description: str | None
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def qualified(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Figures:
    """What must be the same on both sides: rows, filled values, sums of exact columns."""

    rows: int
    filled: tuple[int, ...]
    sums: tuple[Decimal | None, ...]
    columns: tuple[Column, ...] = field(compare=False)

    def difference(self, other: "Figures") -> str | None:
        """The first thing that differs, in words; None if nothing does."""
        if self.rows != other.rows:
            return f"{self.rows:,} rows are published, {other.rows:,} arrived"
        for column, mine, its in zip(self.columns, self.filled, other.filled, strict=True):
            if mine != its:
                return f"{column.name} has {mine:,} values, {its:,} arrived"
        exact = [column for column in self.columns if column.is_exact]
        for column, mine, its in zip(exact, self.sums, other.sums, strict=True):
            if mine != its:
                return f"{column.name} adds up to {mine}, what arrived to {its}"
        return None

    @property
    def named_sums(self) -> dict[str, str | None]:
        """Sums by column, as text."""
        exact = [column for column in self.columns if column.is_exact]
        return {
            column.name: None if value is None else f"{value:f}"
            for column, value in zip(exact, self.sums, strict=True)
        }

    @property
    def checksum(self) -> str:
        """SHA-256 of the figures: equal for equal tables, wherever they are."""
        sums = [None if value is None else f"{value.normalize(EXACTLY):f}" for value in self.sums]
        return hashlib.sha256(json.dumps([self.rows, self.filled, sums]).encode()).hexdigest()


def figures_query(columns: Sequence[Column], relation: str, quote: str = '"') -> str:
    """A SELECT of the figures of a relation, for any of the databases.

    Its row is read by `figures_of`; quote is what the database puts around names.
    """

    def name(column: Column) -> str:
        return quote + column.name.replace(quote, quote * 2) + quote

    parts = ["count(*)", *(f"count({name(column)})" for column in columns)]
    parts += [f"sum({name(column)})" for column in columns if column.is_exact]
    return f"select {', '.join(parts)} from {relation}"


def figures_of(columns: Sequence[Column], row: Sequence) -> Figures:
    """The figures in a row of `figures_query`."""
    rows, *rest = row
    filled, sums = rest[: len(columns)], rest[len(columns) :]
    return Figures(
        int(rows),
        tuple(map(int, filled)),
        tuple(None if value is None else Decimal(str(value)) for value in sums),
        tuple(columns),
    )


def check_names(tables: Sequence[Table], longest: int, database: str) -> None:
    """Raise RetourError if a name is longer than a database can hold, in bytes."""
    for table in tables:
        for name in (table.name, *(column.name for column in table.columns)):
            if len(name.encode()) > longest:
                raise RetourError(
                    f"Names in {database} have at most {longest} bytes: {name[:longest]}… has"
                    f" {len(name.encode()):,}."
                )


class Source:
    """A published file, open for as long as an export takes: a new publish does not change it."""

    def __init__(self, published: Path) -> None:
        if not published.is_file():
            raise RetourError(f"There is no {published}: run `retour build` first.")
        self.connection = duckdb.connect()
        try:
            # attached, because the name of a published file may be that of a schema
            self.connection.execute(f"attach {literal(published)} as published (read_only)")
            self.tables = self._tables()
            self.as_of_dates, self.build_id, self.published_at = self._publication()
        except duckdb.CatalogException as error:
            self.connection.close()
            raise RetourError(unpublished(published)) from error
        except duckdb.Error as error:
            self.connection.close()
            raise RetourError(unreadable(published, error)) from error
        except BaseException:
            self.connection.close()
            raise

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def relation(self, table: Table) -> str:
        """The table's name in SQL."""
        return f"published.{quoted(table.schema)}.{quoted(table.name)}"

    def figures(self, table: Table, relation: str | None = None) -> Figures:
        """The figures of a table, or of anything else with its columns."""
        relation = relation or self.relation(table)
        wide = [column for column in table.columns if column.is_exact and not column.adds_up]
        narrow = [replace(c, type="DOUBLE") if c in wide else c for c in table.columns]
        (row,) = self.connection.execute(figures_query(narrow, relation)).fetchall()
        sums = dict(
            zip([c.name for c in narrow if c.is_exact], row[1 + len(narrow) :], strict=True)
        )
        for column in wide:
            sums[column.name] = self._wide_sum(column, relation)
        ordered = [sums[column.name] for column in table.columns if column.is_exact]
        return figures_of(table.columns, [*row[: 1 + len(narrow)], *ordered])

    def _wide_sum(self, column: Column, relation: str) -> Decimal | None:
        """The sum of numbers of so many digits that DuckDB's sum overflows, from two halves."""
        half, scale = 10**19, column.precision[1]
        (row,) = self.connection.execute(
            f"select sum(digits // {half}), sum(digits % {half}) from (select cast(replace("
            f"cast({column.quoted} as varchar), '.', '') as hugeint) as digits from {relation})"
        ).fetchall()
        return None if row[0] is None else EXACTLY.scaleb(row[0] * half + row[1], -scale)

    def _tables(self) -> list[Table]:
        keys = self._keys()
        columns: dict[tuple[str, str], list[Column]] = {}
        for schema, name, column, kind, is_nullable, comment in self.connection.execute(
            """
            select schema_name, table_name, column_name, data_type, is_nullable, comment
            from duckdb_columns()
            where database_name = 'published' and list_contains($schemas, schema_name)
            order by schema_name, table_name, column_index
            """,
            {"schemas": list(PUBLIC_SCHEMAS)},
        ).fetchall():
            if not KNOWN.fullmatch(kind):
                raise RetourError(
                    f"{schema}.{name}.{column} is a {kind}, which not every tool knows: a mart has"
                    " numbers, texts, booleans, dates and timestamps."
                )
            required = not is_nullable
            columns.setdefault((schema, name), []).append(Column(column, kind, required, comment))
        comments = self.connection.execute(
            "select schema_name, table_name, comment from duckdb_tables()"
            " where database_name = 'published'"
        ).fetchall()
        described = {(schema, name): comment for schema, name, comment in comments}
        return [
            Table(schema, name, described[schema, name], keys.get((schema, name), ()), tuple(found))
            for (schema, name), found in columns.items()
        ]

    def _keys(self) -> dict[tuple[str, str], tuple[str, ...]]:
        constraints = self.connection.execute(
            "select schema_name, table_name, constraint_column_names from duckdb_constraints()"
            " where database_name = 'published' and constraint_type = 'PRIMARY KEY'"
        ).fetchall()
        keys = {(schema, name): tuple(key) for schema, name, key in constraints}
        if ("marts", "publication_tables") in keys:
            declared = self.connection.execute(
                "select schema_name, table_name, key_columns"
                " from published.marts.publication_tables where key_columns is not null"
            ).fetchall()
            keys = {(schema, name): tuple(key.split(", ")) for schema, name, key in declared} | keys
        return keys

    def _publication(self) -> tuple[dict[str, str], str | None, dt.datetime]:
        """As-of date by source, the build, and when the file was published."""
        rows = self.connection.execute(
            "select source, cast(as_of_date as varchar), build_id, published_at"
            " from published.marts.publication order by source"
        ).fetchall()
        dates = {source: date for source, date, *_ in rows}
        return (dates, *rows[0][2:]) if rows else (dates, None, dt.datetime(1970, 1, 1))
