"""The vars an operator can set: their names, defaults and types, and errors that name the fix."""

import contextlib
import datetime as dt
import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from retour.errors import RetourError

DEFAULT_RAW = "data/raw"
DEFAULT_WAREHOUSE = "data/warehouse.duckdb"
DEMO = "demo"
DEFAULT_SOURCES = (DEMO,)


class LandingError(RetourError, RuntimeError):
    """What is wrong with the vars or the raw files, where, and what to do.

    A RuntimeError, because that is what dbt-duckdb turns into one sentence without a traceback.
    """


def nearest(word: str, candidates: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The candidate spelled most like `word`, or None if none is close."""
    found = difflib.get_close_matches(word, sorted(candidates), n=1, cutoff=cutoff)
    return found[0] if found else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest candidate, or nothing."""
    candidate = nearest(word, candidates)
    return f" Did you mean '{candidate}'?" if candidate else ""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_whole(value: Any, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_date(value: Any) -> bool:
    if value is None or isinstance(value, dt.date):
        return True
    try:
        dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


# name: (is the value possible?, what it must be)
VARS = {
    "sources": (
        lambda value: isinstance(value, list | tuple) and bool(value) and all(map(_is_text, value)),
        "a list of source names, like [demo] or [demo, online_retail]",
    ),
    "raw": (_is_text, f"the path of the folder of raw inputs, like {DEFAULT_RAW}"),
    "warehouse": (_is_text, f"the path of a file, like {DEFAULT_WAREHOUSE}"),
    "as_of_date": (_is_date, "a date like 2025-06-30, or null for the newest event in the data"),
    "return_window_days": (
        lambda value: _is_whole(value, 1),
        "a whole number of days, 1 or more",
    ),
    "random_seed": (lambda value: _is_whole(value, 0), "a whole number, 0 or more"),
}


def check_vars(given: Mapping[str, Any]) -> None:
    """Raise LandingError listing every unknown var and every value of the wrong type.

    dbt itself accepts any name, so a typo would silently build with the default.
    """
    problems = []
    for name, value in given.items():
        if name not in VARS:
            known = ", ".join(VARS)
            problems.append(
                f"unknown var '{name}'.{did_you_mean(str(name), VARS)} The vars are {known}."
            )
        elif not VARS[name][0](value):
            problems.append(f"var '{name}' is {_shown(value)}, but it must be {VARS[name][1]}.")
    if problems:
        raise LandingError(listing("Cannot build with these vars", problems))


def listing(headline: str, problems: list[str]) -> str:
    """A headline and its problems, one per line."""
    return "\n".join([f"{headline}:", *(f"  - {problem}" for problem in problems)])


def project_vars(project_dir: Path) -> dict[str, Any]:
    """The `vars:` of dbt_project.yml; those under the project's own name win.

    Profiles are rendered before dbt reads them, so the plugin has to look them up by itself.
    """
    file = project_dir / "dbt_project.yml"
    try:
        project = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LandingError(f"Cannot read {file}: {error}") from error
    declared = project.get("vars") or {}
    own = declared.get(project.get("name")) or {}
    return {name: value for name, value in {**declared, **own}.items() if name in VARS}


def resolve(raw: Any, sources: Any, project_dir: Path) -> tuple[Path, list[str]]:
    """The raw folder and the sources to build.

    `raw` and `sources` are what profiles.yml rendered from the command line (empty: not given;
    sources as a list or as JSON text); dbt_project.yml says the rest. A relative folder is meant
    from the project's root, where dbt itself works.
    """
    if isinstance(sources, str):
        # a bare word is a wrong type, said by the check below
        with contextlib.suppress(ValueError):
            sources = json.loads(sources or "[]")
    declared = project_vars(project_dir)
    chosen = {
        "raw": raw or declared.get("raw") or DEFAULT_RAW,
        "sources": sources or declared.get("sources") or list(DEFAULT_SOURCES),
    }
    check_vars(chosen)
    return (project_dir / str(chosen["raw"])).absolute(), list(dict.fromkeys(chosen["sources"]))


def _shown(value: Any) -> str:
    return "empty" if value in (None, "", [], {}) else json.dumps(value, default=str)
