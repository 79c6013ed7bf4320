"""What a published file says of itself and of its model of returns, and that model itself."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from ml.return_models import Version
from retour.errors import RetourError
from retour.model_files import Unusable, libraries, loaded, published_path, verified
from retour.settings import did_you_mean


@dataclass(frozen=True)
class Publication:
    """What a published file says of itself and its model of returns."""

    path: Path
    source: str
    as_of_date: date
    model_version: str
    model_sha256: str
    features: tuple[str, ...]
    window_days: int
    trained_on: date
    stamp: tuple[int, int] | None


def read_publication(path: Path, source: str | None) -> Publication:
    """Raises RetourError if there is none, or none that can score lines of this source."""
    try:
        path.stat()
        stamp = file_stamp(path)
        connection = duckdb.connect(str(path), read_only=True)
    except FileNotFoundError:
        raise RetourError(f"There is no published file {path}: run `make build` first.") from None
    except (OSError, duckdb.Error) as error:
        raise RetourError(f"{path} cannot be read: {error}") from error
    with connection:
        try:
            days = dict(
                connection.execute("select source, as_of_date from marts.publication").fetchall()
            )
            if source is None and len(days) == 1:
                (source,) = days
            if source is None:
                raise RetourError(f"Name the source of the lines: {', '.join(sorted(days))}.")
            if source not in days:
                hint = did_you_mean(source, days)
                raise RetourError(
                    f"{path} has no source '{source}'.{hint} It has {', '.join(sorted(days))}."
                )
            runs = connection.execute(
                """
                select model_version, model_sha256, features, horizon_days, trained_on
                from marts.model_runs
                where
                    source = ? and task = 'return' and model_sha256 is not null
                -- another model has a file only where it scores in place of the table
                order by trained_on desc, model in ('table', 'base_rate')
                limit 1
                """,
                [source],
            ).fetchall()
        except duckdb.Error as error:
            raise RetourError(
                f"{path} is of another version: run `make build`. ({error})"
            ) from error
    if not runs:
        raise RetourError(f"{path} names no model of returns for '{source}': run `make build`.")
    version, sha256, features, window, trained_on = runs[0]
    names = tuple((features or "").split(", "))
    return Publication(
        path, source, days[source], version, sha256, names, int(window), trained_on, stamp
    )


def file_stamp(path: Path) -> tuple[int, int] | None:
    """What changes when another file stands in its place; None if there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def saved_model(publication: Publication) -> Version:
    """The saved model that the published file names. Raises RetourError if it is not there whole:
    what would be said is then not what was tested."""
    path = published_path(
        publication.path.parent, "return", publication.source, publication.model_sha256
    )
    try:
        content = loaded(verified(path, publication.model_sha256))
    except Unusable as why:
        raise RetourError(
            f"The saved model {path} {why}: nothing is scored. Run `make build`, which fits and"
            " publishes it again."
        ) from None
    for version in content["models"]:
        if version.name == publication.model_version:
            if version.rival and content["libraries"] != libraries():
                raise RetourError(
                    f"{path} holds a model of scikit-learn that was fitted with other versions of"
                    f" libraries ({_listed(content['libraries'])}; here are"
                    f" {_listed(libraries())}): nothing is scored. Run `make build`, which fits it"
                    " again, or install those versions."
                )
            return version
    raise RetourError(f"{path} does not hold {publication.model_version}: run `make build`.")


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())
