"""A folder as the target of an export: filled beside its place, then swapped in as a whole."""

import ctypes
import datetime as dt
import hashlib
import json
import os
import re
import shutil
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retour.errors import RetourError
from retour.export import Job
from retour.export.contract import Figures, Table
from retour.publish import alone, fsync_folder

MANIFEST = "manifest.json"
STAGING = ".retour-export.tmp"
LONGEST_NAME = 100


@dataclass
class Folder:
    """What is being filled; `path` is where files go until the swap."""

    path: Path
    job: Job
    # what the format does to texts that a spreadsheet would take for formulas
    formulas: str
    tables: list[dict[str, Any]] = field(default_factory=list)

    def file(self, table: Table, suffix: str) -> Path:
        """Where the file of a table goes: schema/name.suffix, whatever the name is."""
        path = self.path / file_name(table.schema) / f"{file_name(table.name)}{suffix}"
        path.parent.mkdir(exist_ok=True)
        return path

    def add(self, table: Table, file: Path, figures: Figures, **more: Any) -> None:
        """Enter a table's finished file into the manifest."""
        self.tables.append(
            {
                "schema": table.schema,
                "table": table.name,
                "file": str(file.relative_to(self.path)),
                "rows": figures.rows,
                "sums": figures.named_sums,
                "key": list(table.key),
                "description": table.description,
                "columns": [
                    {
                        "name": column.name,
                        "type": column.type,
                        "required": column.is_required,
                        "description": column.description,
                    }
                    for column in table.columns
                ],
                **more,
            }
        )

    def finish(self) -> None:
        """Write the manifest, and make everything survive a power cut."""
        hashes = {}
        for path in sorted(self.path.rglob("*")):
            if path.is_file():
                with path.open("rb+") as file:
                    hashes[str(path.relative_to(self.path))] = {
                        "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
                        "bytes": path.stat().st_size,
                    }
                    os.fsync(file.fileno())
        source = self.job.source
        manifest = {
            "format": self.job.to,
            "build_id": source.build_id,
            "as_of_dates": source.as_of_dates,
            "exported_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "formulas": self.formulas,
            "files": hashes,
            "tables": self.tables,
        }
        with (self.path / MANIFEST).open("w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        for path in [self.path, *self.path.rglob("*")]:
            if path.is_dir():
                fsync_folder(path)


@contextmanager
def replacing(job: Job, formulas: str) -> Iterator[Folder]:
    """A new folder to fill; at the end of the block it takes the place of the target.

    Raises RetourError if something else than an earlier export stands there.
    """
    target = Path(os.path.realpath(job.target))
    check_target(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.parent / STAGING
    with alone(target.parent, job.say):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            folder = Folder(staging, job, formulas)
            yield folder
            folder.finish()
            # somebody may have put something there in the meantime
            check_target(target)
            swap(staging, target)
            fsync_folder(target.parent)
        finally:
            # after the swap, this is what stood there before
            shutil.rmtree(staging, ignore_errors=True)


def check_target(target: Path) -> None:
    """Raise RetourError unless the target is missing, empty or an earlier export, and in none."""
    if target.exists() and not target.is_dir():
        raise RetourError(f"{target} is a file: name a folder to export into.")
    for folder in target.parents:
        if is_export(folder):
            raise RetourError(
                f"{target} lies within the export in {folder}, and an export is a whole: name a"
                " folder outside of it."
            )
    if not target.exists():
        return
    if not any(target.iterdir()):
        return
    try:
        manifest = json.loads((target / MANIFEST).read_bytes())
        known = {*manifest["files"], MANIFEST}
    except (OSError, ValueError, KeyError, TypeError):
        raise RetourError(
            f"{target} holds something else than an export, and an export replaces the whole"
            " folder: name another one."
        ) from None
    there = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    if strange := sorted(there - known):
        raise RetourError(
            f"{target} holds files that no export has put there ({strange[0][:200]}), and an export"
            " replaces the whole folder: move them, or name another folder."
        )


def is_export(folder: Path) -> bool:
    """Whether a folder holds an export."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and {"format", "files", "tables"} <= manifest.keys()


def swap(new: Path, target: Path) -> None:
    """Exchange a folder with the one at its place, in one step where the system can."""
    if not target.exists():
        new.rename(target)
    elif not exchanged(new, target):
        # two renames: for a moment nothing is there, but never half of anything
        old = new.with_name(f"{new.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        new.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def exchanged(one: Path, other: Path) -> bool:
    """Exchange two paths atomically; False if system or file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def file_name(name: str) -> str:
    """A name as that of a file, in which nothing is a path: letters, digits, _ and - stay."""
    safe = re.sub(r"[.~]", lambda match: f"%{ord(match[0]):02X}", urllib.parse.quote(name, safe=""))
    if len(safe) <= LONGEST_NAME:
        return safe
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{safe[:LONGEST_NAME]}-{digest}"
