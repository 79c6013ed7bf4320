"""The raw folder: which files there are, which table each of them feeds, and what is missing."""

import datetime as dt
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from retour.landing.config import CANONICAL, DATA_FILE, SourceConfig, Table
from retour.landing.reading import FileError, RawFile, plain_errors
from retour.settings import DEMO, did_you_mean, nearest


@dataclass(frozen=True)
class LoadFile:
    """One row of raw.load_files."""

    source: str
    table_name: str | None
    file: str
    file_sha256: str | None
    file_bytes: int
    format: str | None
    encoding: str | None = None
    rows_read: int = 0
    rows_landed: int = 0
    rows_rejected: int = 0
    status: str = "loaded"
    message: str | None = None
    landed_at: dt.datetime | None = None

    @property
    def identity(self) -> tuple[str | None, ...]:
        """What decides whether a file has to be landed again."""
        said = None if self.status == "loaded" else self.message
        return (self.source, self.table_name, self.file, self.file_sha256, self.status, said)


@dataclass
class Found:
    """What stands in the raw folder.

    `files` by name; `entries` is what raw.load_files should say, `stamps` what to remember to
    recognise a file without reading it.
    """

    files: dict[str, RawFile] = field(default_factory=dict)
    entries: list[LoadFile] = field(default_factory=list)
    stamps: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class RawFolder:
    """The folder of raw inputs, with one folder per source."""

    def __init__(self, folder: Path, configs: dict[str, SourceConfig]) -> None:
        self.folder = folder
        self.configs = configs

    def find(self, sources: list[str], remembered: dict[str, str]) -> Found:
        """Every file of these sources; `remembered` are the stamps of an earlier landing."""
        found = Found()
        for source in sources:
            if _is_folder_name(source) and (self.folder / source).is_dir():
                self._find_source(source, found)
            else:
                found.problems.append(self._unknown_source(source))
        _hash_files(found, remembered)
        return found

    def _find_source(self, source: str, found: Found) -> None:
        """Sort the files of one source: to a table, or ignored with a reason."""
        config = self.configs.get(source) or self.configs[CANONICAL]
        folder = self.folder / source
        files, ignored = [], []
        for path in _walk(folder):
            inside = path.relative_to(folder).as_posix()
            name = f"{source}/{inside}"
            table = config.table_for(inside)
            if not _is_text(name):
                found.problems.append(f"{name!r}: its name is not valid UTF-8: rename it.")
            elif table:
                files.append(RawFile(source, name, path, table))
            else:
                size = path.lstat().st_size
                said = _why_ignored(inside, config)
                ignored.append(
                    LoadFile(source, None, name, None, size, None, status="ignored", message=said)
                )
        found.problems += _same_name_in_two_formats(files)
        for table in config.tables:
            if table.required and not any(file.table == table for file in files):
                found.problems.append(self._missing_file(source, table, ignored))
        found.files |= {file.name: file for file in sorted(files, key=lambda file: file.name)}
        found.entries += sorted(ignored, key=lambda entry: entry.file)

    def _unknown_source(self, source: str) -> str:
        if not _is_folder_name(source):
            return f"'{source}' cannot be a source: a source is one folder in {self.folder}."
        folders = []
        if self.folder.is_dir():
            folders = [path.name for path in self.folder.iterdir() if path.is_dir()]
        folders = sorted(filter(_is_folder_name, folders))
        there = f"there are: {', '.join(folders)}" if folders else "there are none"
        hint = did_you_mean(source, {*folders, *self.configs, DEMO} - {source})
        return (
            f"unknown source '{source}': there is no folder {self.folder / source}.{hint} "
            f"Put its files there, or choose other `sources` ({there})."
        )

    def _missing_file(self, source: str, table: Table, ignored: list[LoadFile]) -> str:
        folder = self.folder / source
        if table.files == "*":
            return f"{table.name}: there is no .csv, .csv.gz or .parquet file in {folder}."
        stems = {Path(entry.file).name.split(".")[0]: entry.file for entry in ignored}
        similar = nearest(table.files, stems)
        hint = f" Did you mean '{stems[similar]}' -> '{table.files}'? Rename it." if similar else ""
        return (
            f"{table.name}: the required file {folder / table.files}.csv is missing, and so are "
            f".csv.gz, .parquet, {table.files}_*.csv and files in a folder {table.files}/.{hint}"
        )


def stamp(path: Path) -> str:
    """Size and times: the change time moves with every write and cannot be set back."""
    stat = path.stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}"


def _hash_files(found: Found, remembered: dict[str, str]) -> None:
    """Add an entry for each file to land; of equal files of a table only the first is read."""
    first_with: dict[tuple[str, str, str], str] = {}
    for name, file in found.files.items():
        try:
            with plain_errors():
                found.stamps[name], sha256 = _hash(file.path, remembered.get(name))
                size = file.path.stat().st_size
        except FileError as error:
            found.problems += [f"{name}: {problem}" for problem in error.problems]
            continue
        entry = LoadFile(file.source, file.table.name, name, sha256, size, file.format)
        first = first_with.setdefault((file.source, file.table.name, sha256), name)
        if first != name:
            said = f"same content as {first}: not read again"
            entry = replace(entry, status="duplicate", message=said)
        found.entries.append(entry)


def _hash(path: Path, remembered: str | None) -> tuple[str, str]:
    """What to remember about a file, and its SHA-256; read only if size or times changed."""
    now = stamp(path)
    if remembered and remembered.startswith(f"{now} "):
        return remembered, remembered.split(" ")[1]
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return f"{now} {sha256}", sha256


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, links followed, without hidden ones and those named _something."""
    seen = set()
    for where, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        if real in seen:
            # a link back to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(filter(_is_visible, folders))
        for name in sorted(filter(_is_visible, files)):
            yield Path(where) / name


def _is_visible(name: str) -> bool:
    return not name.startswith((".", "_"))


def _is_folder_name(source: str) -> bool:
    """Whether a source's name is the name of one visible folder."""
    return bool(source) and _is_visible(source) and Path(source).name == source


def _is_text(name: str) -> bool:
    """Whether a file name can be written as text."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _why_ignored(inside: str, config: SourceConfig) -> str:
    """The message for a file that no table takes."""
    match = DATA_FILE.fullmatch(inside)
    if not match:
        return "ignored: not a .csv, .csv.gz or .parquet file"
    names = {table.files for table in config.tables}
    hint = did_you_mean(match["stem"].split("/")[0], names)
    return f"ignored: no table takes it.{hint} Known names: {', '.join(sorted(names))}"


def _same_name_in_two_formats(files: list[RawFile]) -> list[str]:
    """One problem for each name that stands there in several formats: it would count twice."""
    formats = defaultdict(list)
    for file in files:
        formats[file.name[: -len(file.format) - 1]].append(file.name)
    return [
        f"{' and '.join(sorted(names))} are one table in several formats: keep one of them."
        for names in formats.values()
        if len(names) > 1
    ]
