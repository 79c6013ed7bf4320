"""Saved models: what a fit found, kept beside the warehouse so that the next build need not fit.

One joblib file per task and source, `models/<task>/<source>.joblib`, and beside it a record of what
it is (`.json`): SHA-256, fingerprint of what was learnt from, features, versions of libraries. A
file counts only if its bytes are those of the record and the fingerprint is that of today's data,
policies and code; else it is fitted again, and the log says why. So a build gives the same tables
whether it fitted or not.

A joblib file is a pickle, which can run code when it is read. Here nothing is read whose hash is
unknown, and of a file only the classes of CLASSES are made, whatever it names.
"""

import ast
import hashlib
import hmac
import importlib.util
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = "models"
FORMAT = 1
LIBRARIES = ("numpy", "scipy", "scikit-learn", "joblib", "duckdb")
CLASSES = {
    ("datetime", "date"),
    ("joblib.numpy_pickle", "NumpyArrayWrapper"),
    ("ml.return_models", "Version"),
    ("ml.table_model", "Feature"),
    ("ml.table_model", "TableModel"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    # what forests, unrestricted boosting and logistic regression are made of
    *(("ml.candidates", name) for name in ("Rival", "_signed_log")),
    ("builtins", "slice"),
    ("functools", "partial"),
    ("numpy", "float64"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.random._pcg64", "PCG64"),
    ("numpy.random._pickle", "__bit_generator_ctor"),
    ("numpy.random._pickle", "__generator_ctor"),
    ("numpy.random.bit_generator", "SeedSequence"),
    ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
    ("sklearn._loss._loss", "CyHalfBinomialLoss"),
    ("sklearn._loss.link", "Interval"),
    ("sklearn._loss.link", "LogitLink"),
    ("sklearn._loss.loss", "HalfBinomialLoss"),
    ("sklearn.compose._column_transformer", "ColumnTransformer"),
    ("sklearn.ensemble._forest", "RandomForestClassifier"),
    ("sklearn.ensemble._hist_gradient_boosting.binning", "_BinMapper"),
    (
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
        "HistGradientBoostingClassifier",
    ),
    ("sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor"),
    ("sklearn.impute._base", "MissingIndicator"),
    ("sklearn.impute._base", "SimpleImputer"),
    ("sklearn.linear_model._logistic", "LogisticRegression"),
    ("sklearn.pipeline", "Pipeline"),
    ("sklearn.preprocessing._data", "StandardScaler"),
    ("sklearn.preprocessing._encoders", "OneHotEncoder"),
    ("sklearn.preprocessing._encoders", "OrdinalEncoder"),
    ("sklearn.preprocessing._function_transformer", "FunctionTransformer"),
    ("sklearn.preprocessing._label", "LabelEncoder"),
    ("sklearn.tree._classes", "DecisionTreeClassifier"),
    ("sklearn.tree._tree", "Tree"),
    ("sklearn.utils.validation", "check_array"),
}


class Unusable(Exception):
    """Why a saved model must not be used, as the end of a sentence about it."""


@dataclass(frozen=True)
class Fitted:
    """What a fit found: records as JSON text, models; SHA-256 of the file that holds both."""

    records: str
    models: Sequence
    sha256: str


@dataclass(frozen=True)
class ModelFiles:
    """The saved models of one task. folder: None keeps nothing (a warehouse in memory)."""

    folder: Path | None
    task: str
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)

    @classmethod
    def beside(cls, connection: Any, task: str) -> "ModelFiles":
        """Those of the warehouse that a DuckDB connection works in."""
        (path,) = connection.execute(
            "select path from duckdb_databases() where database_name = current_database()"
        ).fetchall()[0]
        return cls(Path(path).parent / FOLDER if path else None, task)

    def path(self, source: str) -> Path:
        """The file of a source."""
        return (self.folder or Path()) / self.task / f"{source}.joblib"

    def fitted(
        self,
        source: str,
        *,
        fingerprint: str,
        features: Sequence[str],
        fit: Callable[[], tuple[str, Sequence]],
    ) -> Fitted:
        """The saved fit with this fingerprint, else what `fit` gives (records, models), saved."""
        path = self.path(source)
        if self.folder:
            try:
                return self._saved(path, fingerprint)
            except Unusable as why:
                self.say(f"{path.parent.name}/{path.name} {why}: the model is fitted anew.")
        records, models = fit()
        about = {
            "format": FORMAT,
            "task": self.task,
            "source": source,
            "fingerprint": fingerprint,
            "features": list(features),
            "libraries": libraries(),
        }
        data = dumped({**about, "records": records, "models": list(models)})
        sha256 = hashlib.sha256(data).hexdigest()
        if self.folder:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, data)
                said = json.dumps({"sha256": sha256, "bytes": len(data), **about}, indent=1)
                write(path.with_suffix(".json"), said.encode())
            except OSError as error:
                self.say(f"{path} cannot be written, the next build fits again: {error}")
        return Fitted(records, models, sha256)

    def _saved(self, path: Path, fingerprint: str) -> Fitted:
        """Raises Unusable, with why."""
        if not path.is_file():
            raise Unusable("is not there")
        try:
            about = json.loads(path.with_suffix(".json").read_bytes())
            known, learnt_from = str(about["sha256"]), str(about["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise Unusable("has no readable record beside it") from None
        data = verified(path, known)
        if learnt_from != fingerprint:
            raise Unusable("is outdated (other data, policies, code or libraries)")
        content = loaded(data)
        return Fitted(content["records"], content["models"], known)


def verified(path: Path, sha256: str) -> bytes:
    """The bytes of a file that has this SHA-256; raises Unusable for any other."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Unusable("is not there") from None
    except OSError as error:
        raise Unusable(f"cannot be read ({error})") from error
    if not hmac.compare_digest(hashlib.sha256(data).hexdigest().encode(), sha256.lower().encode()):
        raise Unusable("is not the file that was saved (its SHA-256 differs)")
    return data


def published_path(folder: Path, task: str, source: str, sha256: str) -> Path:
    """Where the saved model of this hash stands beside a published file in `folder`."""
    return folder / FOLDER / task / f"{source}@{sha256[:16]}.joblib"


def publish_models(
    warehouse: Path, folder: Path, models: Sequence[tuple[str, str, str]]
) -> Iterator[str]:
    """Copy models (task, source, SHA-256) of a warehouse into the folder of its published file;
    gives a sentence for each that cannot be."""
    for task, source, sha256 in models:
        copy = published_path(folder, task, source, sha256)
        path = ModelFiles(warehouse.parent / FOLDER, task).path(source)
        try:
            data = verified(path, sha256)
            copy.parent.mkdir(parents=True, exist_ok=True)
            write(copy, data)
        except (Unusable, OSError) as why:
            yield f"{path} {why}: `retour score` will refuse until the next build"


def remove_others(folder: Path, models: Sequence[tuple[str, str, str]]) -> None:
    """Remove the models beside a published file that it does not name (any more)."""
    named = {published_path(folder, *model) for model in models}
    for path in (folder / FOLDER).glob("*/*.joblib"):
        if path not in named:
            path.unlink(missing_ok=True)


def dumped(content: dict) -> bytes:
    """A joblib file, as bytes that are the same for the same content."""
    import joblib

    buffer = io.BytesIO()
    joblib.dump(content, buffer, protocol=4)
    return buffer.getvalue()


def loaded(data: bytes) -> dict:
    """The content of a joblib file whose hash was verified. Raises Unusable if it is none of ours
    or names a class that is not in CLASSES."""
    # the only place that says which classes a file may name is the unpickler
    from joblib.numpy_pickle import NumpyUnpickler

    class Unpickler(NumpyUnpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) not in CLASSES:
                raise Unusable(f"names {module}.{name}, which no model needs")
            return super().find_class(module, name)

    try:
        content = Unpickler("", io.BytesIO(data), ensure_native_byte_order=True).load()
        if content["format"] != FORMAT:
            raise Unusable("is of another version of retour")
        if not (isinstance(content["records"], str) and isinstance(content["models"], list)):
            raise Unusable("holds no records and models")
    except Unusable:
        raise
    except Exception as error:  # a pickle can fail in any way
        raise Unusable(f"is no saved model ({error})") from error
    return content


def libraries() -> dict[str, str]:
    """Versions of everything that a fit, and what is saved of it, depends on."""
    python = ".".join(map(str, sys.version_info[:2]))
    return {"python": python} | {name: version(name) for name in LIBRARIES}


def fingerprint(rows: Any, code: ModuleType, **given: Any) -> str:
    """A hash of what a fit reads: the rows of a DuckDB relation in whatever order, the source of a
    module of `ml` with all it imports from there, the libraries, and what else is given (values
    whose repr says all)."""
    columns = ", ".join(f'"{name}"' for name in rows.columns)
    found = rows.aggregate(
        f"count(*), sum(cast(hash({columns}) as hugeint)), bit_xor(hash({columns}))"
    ).fetchall()
    said = [FORMAT, rows.columns, found[0], sources(code), libraries(), sorted(given.items())]
    return hashlib.sha256(repr(said).encode()).hexdigest()


def sources(module: ModuleType) -> dict[str, str]:
    """SHA-256 of the source of a module of `ml` and of those that it imports, by name."""
    found: dict[str, str] = {}
    to_read = [module.__name__]
    while to_read:
        name = to_read.pop()
        spec = importlib.util.find_spec(name) if name not in found else None
        if spec is None or spec.origin is None:
            continue
        text = Path(spec.origin).read_bytes().replace(b"\r\n", b"\n")
        found[name] = hashlib.sha256(text).hexdigest()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                to_read += [alias.name for alias in node.names if alias.name.startswith("ml.")]
            elif isinstance(node, ast.ImportFrom) and node.module == "ml":
                to_read += [f"ml.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ml."):
                to_read.append(str(node.module))
    return dict(sorted(found.items()))


def write(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all, whenever the machine stops."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
