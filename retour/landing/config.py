"""Which files feed which raw table: the landing config inside the sources' dbt YAML.

Every `<name>__sources.yml` under dbt_project/models/staging may carry, in `config.meta`:

    source or table   landing: {delimiter: ",", encodings: [utf-8]}
    table             landing: {files: order_lines, required: true}
    column            headers: [Invoice, InvoiceNo], required: true, pii: true

`files` is the stem of the file names (`order_lines.csv`, `order_lines_2024.parquet`, files inside
a folder `order_lines/`), or "*" for every data file of the source.
"""

import codecs
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from retour.settings import LandingError, did_you_mean, listing

SOURCES = "dbt_project/models/staging"
CANONICAL = "canonical"
# columns that landing adds; the YAML may describe them, files cannot fill them
ADDED_COLUMNS = ("source", "file", "row_number", "extra_columns")
LANDING_OPTIONS = {"files", "required", "delimiter", "encodings"}
# the C parser is eight times as fast, and this runs before every dbt command
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DATA_FILE = re.compile(r"(?P<stem>.+)\.(?P<format>csv|csv\.gz|parquet)", re.IGNORECASE | re.DOTALL)


def normalised(header: str) -> str:
    """A header as it is compared: lower case, letters and digits only."""
    return "".join(letter for letter in header.lower() if letter.isalnum())


@dataclass(frozen=True)
class Column:
    """One declared column of a raw table and the headers it is known by in files."""

    name: str
    headers: tuple[str, ...] = ()
    required: bool = False

    @cached_property
    def keys(self) -> frozenset[str]:
        """The normalised headers that mean this column."""
        return frozenset(map(normalised, (self.name, *self.headers)))


@dataclass(frozen=True)
class Table:
    """One raw table: its columns in YAML order and the files that feed it."""

    name: str
    files: str
    columns: tuple[Column, ...]
    yaml_file: str
    required: bool = False
    delimiter: str = ","
    encodings: tuple[str, ...] = ("utf-8",)

    @property
    def column_names(self) -> list[str]:
        """Every column of the raw table, in order."""
        return ["source", "file", "row_number", *(c.name for c in self.columns), "extra_columns"]

    @cached_property
    def config_sha256(self) -> str:
        """A hash of everything here that changes what is landed (descriptions do not)."""
        columns = [(c.name, sorted(c.keys), c.required) for c in self.columns]
        said = [self.name, self.files, columns, self.delimiter, self.encodings]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def takes(self, path_in_source: str) -> bool:
        """Whether a data file, given as its path inside the source's folder, feeds this table."""
        match = DATA_FILE.fullmatch(path_in_source)
        if not match:
            return False
        if self.files == "*":
            return True
        stem, files = match["stem"].lower(), self.files.lower()
        folder, _, below = stem.partition("/")
        if below:
            # Spark names folders like files: order_lines.parquet/part-0.parquet
            return folder.removesuffix(".csv").removesuffix(".parquet") == files
        return stem == files or stem.startswith((f"{files}_", f"{files}-"))


@dataclass(frozen=True)
class SourceConfig:
    """What one `<name>__sources.yml` says about landing."""

    name: str
    tables: tuple[Table, ...]

    def table_for(self, path_in_source: str) -> Table | None:
        """The table a file feeds; the longest `files` wins (`orders_paid` before `orders`)."""
        takers = [table for table in self.tables if table.takes(path_in_source)]
        return max(takers, key=lambda table: len(table.files.strip("*")), default=None)


def load_configs(project_dir: Path) -> dict[str, SourceConfig]:
    """Every source that the project declares a landing for, by name.

    Raises LandingError listing everything in the YAML files that makes no sense.
    """
    problems: list[str] = []
    configs: dict[str, SourceConfig] = {}
    for file in sorted((project_dir / SOURCES).glob("**/*__sources.yml")):
        shown = file.relative_to(project_dir).as_posix()
        try:
            document = yaml.load(file.read_text(encoding="utf-8"), YAML_LOADER) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            problems.append(f"{shown} cannot be read: {error}")
            continue
        for source in document.get("sources") or []:
            tables = _tables(source, shown, problems)
            if tables:
                configs[source["name"]] = SourceConfig(source["name"], tables)
    if problems:
        raise LandingError(listing("The landing config is wrong", problems))
    if CANONICAL not in configs:
        raise LandingError(
            f"There is no {CANONICAL}__sources.yml in {project_dir / SOURCES}: "
            "run this in the root of a retour project."
        )
    return configs


def _tables(source: dict, shown: str, problems: list[str]) -> tuple[Table, ...]:
    """The tables of one source entry that are fed by files."""
    tables = []
    defaults = _meta(source).get("landing") or {}
    for table in source.get("tables") or []:
        landing = _meta(table).get("landing")
        if landing is None:
            continue
        options = {**defaults, **landing}
        for name in sorted(options.keys() - LANDING_OPTIONS):
            problems.append(
                f"{shown}: table {table['name']} has an unknown landing option '{name}'."
                f"{did_you_mean(name, LANDING_OPTIONS)}"
            )
        if not isinstance(options.get("files"), str):
            problems.append(f'{shown}: table {table["name"]} needs `files`: a stem, or "*".')
            continue
        delimiter = options.get("delimiter") or ","
        if len(delimiter) != 1:
            problems.append(f"{shown}: the delimiter {delimiter!r} must be one character.")
        encodings = options.get("encodings") or ["utf-8"]
        for encoding in encodings:
            try:
                codecs.lookup(encoding)
            except LookupError:
                problems.append(f"{shown}: there is no encoding '{encoding}'.")
        columns = tuple(
            Column(
                name=column["name"],
                headers=tuple(map(str, _meta(column).get("headers") or ())),
                required=bool(_meta(column).get("required")),
            )
            for column in table.get("columns") or []
            if column["name"] not in ADDED_COLUMNS
        )
        problems += _ambiguous_headers(columns, f"{shown}: table {table['name']}")
        tables.append(
            Table(
                name=table["name"],
                files=options["files"],
                columns=columns,
                yaml_file=shown,
                required=bool(options.get("required")),
                delimiter=delimiter,
                encodings=tuple(encodings),
            )
        )
    return tuple(tables)


def _ambiguous_headers(columns: tuple[Column, ...], where: str) -> list[str]:
    """One problem for each header that two columns claim."""
    problems = []
    taken: dict[str, str] = {}
    for column in columns:
        for key in sorted(column.keys):
            if key in taken:
                problems.append(f"{where}: {taken[key]} and {column.name} share a header.")
            taken[key] = column.name
    return problems


def _meta(node: Mapping[str, Any]) -> dict[str, Any]:
    """`config.meta` of a source, table or column."""
    return (node.get("config") or {}).get("meta") or {}
