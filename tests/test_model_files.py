"""Saved models: used while they are what was saved and nothing changed; else fitted anew."""

import hashlib
import importlib.util
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import duckdb
import joblib
import numpy as np
import pytest

from ml import boosting, candidates, evaluation, return_models, table_model
from ml.return_models import Version
from ml.table_model import Feature
from retour import build, model_files
from retour.model_files import ModelFiles, Unusable, fingerprint
from retour.publish import Published, publish, published_path
from tests.support import ROOT, Build

MODEL = table_model.constant((Feature("price", "numeric", "price"),), 0.2)
VERSION = Version("table@2026-06-30", date(2026, 6, 30), None, True, MODEL)


class Fits:
    """A fit that counts how often it was asked for."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> tuple[str, list[Version]]:
        self.count += 1
        return '[{"record": "intercept"}]', [VERSION]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def files(tmp_path: Path, said: list[str]) -> ModelFiles:
    return ModelFiles(tmp_path / "models", "return", said.append)


def fitted(files: ModelFiles, fit: Callable, learnt_from: str = "a") -> model_files.Fitted:
    return files.fitted("it's", fingerprint=learnt_from, features=["price"], fit=fit)


def test_what_was_saved_is_used_while_nothing_changed(files: ModelFiles, said: list[str]) -> None:
    fit = Fits()
    first = fitted(files, fit)
    assert said == ["return/it's.joblib is not there: the model is fitted anew."]
    again = fitted(files, fit)
    assert fit.count == 1 and len(said) == 1
    assert (again.records, again.sha256) == (first.records, first.sha256)
    (version,) = again.models
    assert (version.name, version.trained_on) == (VERSION.name, VERSION.trained_on)
    assert table_model.bin_rows(version.model) == table_model.bin_rows(MODEL)
    # what stands beside it says what it is; anybody can load it with joblib alone
    about = json.loads(files.path("it's").with_suffix(".json").read_text())
    assert about["sha256"] == hashlib.sha256(files.path("it's").read_bytes()).hexdigest()
    assert about["features"] == ["price"] and "scikit-learn" in about["libraries"]
    assert joblib.load(files.path("it's"))["models"][0].name == VERSION.name
    assert sorted(os.listdir(files.path("it's").parent)) == ["it's.joblib", "it's.json"]


def without(path: Path) -> None:
    path.unlink()


def alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def without_record(path: Path) -> None:
    path.with_suffix(".json").unlink()


def broken_record(path: Path) -> None:
    path.with_suffix(".json").write_text('{"sha256": ')


def other_record(path: Path) -> None:
    """As after a crash between the file and its record."""
    record = path.with_suffix(".json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": "0" * 64}))


def record_of_no_hash(path: Path) -> None:
    record = path.with_suffix(".json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": "é" * 64}))


def bottomless_record(path: Path) -> None:
    path.with_suffix(".json").write_text("[" * 200_000)


def without_models(path: Path) -> None:
    """A file of ours, with its record, that holds something else."""
    about = json.loads(path.with_suffix(".json").read_text())
    data = model_files.dumped({"format": model_files.FORMAT})
    path.write_bytes(data)
    about["sha256"] = hashlib.sha256(data).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("happen", "reason"),
    [
        (without, "is not there"),
        (alter, "SHA-256 differs"),
        (truncate, "SHA-256 differs"),
        (empty, "SHA-256 differs"),
        (without_record, "no readable record"),
        (broken_record, "no readable record"),
        (other_record, "SHA-256 differs"),
        (record_of_no_hash, "SHA-256 differs"),
        (bottomless_record, "no readable record"),
        (without_models, "is no saved model"),
    ],
)
def test_a_file_that_is_not_what_was_saved_is_fitted_anew_and_the_log_says_why(
    files: ModelFiles, said: list[str], happen: Callable[[Path], None], reason: str
) -> None:
    fit = Fits()
    first = fitted(files, fit)
    happen(files.path("it's"))
    again = fitted(files, fit)
    assert fit.count == 2
    assert reason in said[-1] and said[-1].endswith(": the model is fitted anew.")
    assert again.sha256 == first.sha256
    fitted(files, fit)
    assert fit.count == 2


def test_an_outdated_file_is_fitted_anew(files: ModelFiles, said: list[str]) -> None:
    fit = Fits()
    fitted(files, fit, "a")
    fitted(files, fit, "b")
    assert fit.count == 2 and "is outdated" in said[-1]


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    fit = Fits()
    found = fitted(ModelFiles(tmp_path / "models", "return", said.append), fit)
    assert fit.count == 1 and found.models and "cannot be written" in said[-1]
    assert ModelFiles(None, "return", said.append).folder is None
    assert fitted(ModelFiles(None, "return", said.append), fit).sha256 == found.sha256


class Hostile:
    def __reduce__(self) -> tuple:
        return os.system, ("touch " + str(Hostile.trace),)

    trace = Path()


def test_a_hostile_file_runs_nothing_even_with_a_matching_record(
    files: ModelFiles, said: list[str], tmp_path: Path
) -> None:
    """Whoever can write the file can write its record: the classes are checked besides."""
    fit = Fits()
    fitted(files, fit)
    Hostile.trace = tmp_path / "was here"
    path, record = files.path("it's"), files.path("it's").with_suffix(".json")
    data = pickle.dumps({"format": model_files.FORMAT, "records": Hostile()})
    path.write_bytes(data)
    about = json.loads(record.read_text()) | {"sha256": hashlib.sha256(data).hexdigest()}
    record.write_text(json.dumps(about))
    fitted(files, fit)
    assert fit.count == 2 and "which no model needs" in said[-1]
    assert not Hostile.trace.exists()
    # an array of objects holds a pickle of its own
    nested = model_files.dumped({"format": 1, "records": np.array([Hostile()], dtype=object)})
    for data in (b"", b"no pickle", pickle.dumps([1]), pickle.dumps({"format": 0}), nested):
        with pytest.raises(Unusable):
            model_files.loaded(data)
        assert not Hostile.trace.exists()


def test_the_fingerprint_is_of_rows_policies_and_code_whatever_their_order() -> None:
    connection = duckdb.connect()
    rows = "select * from (values (1, 'a', 0.5), (2, null, 1.5), (2, null, 1.5)) as t (i, w, x)"

    def of(query: str, code=return_models, **given) -> str:
        return fingerprint(connection.sql(query), code, **{"policy": 1, "seed": 2} | given)

    assert of(rows) == of(f"{rows} order by i desc", seed=2)
    others = [
        of(f"{rows} limit 2"),
        of(f"{rows} union all {rows}"),
        of(rows.replace("1.5)) as", "1.5000001)) as")),
        of(rows.replace("(i, w, x)", "(i, w, y)")),
        of(rows, policy=2),
        of(rows, seed=3),
        of(rows, code=evaluation),
    ]
    assert len({of(rows), *others}) == 8
    # all that fitting runs is hashed
    modules = {module.__name__ for module in (boosting, candidates, evaluation, table_model)}
    assert modules < set(model_files.sources(return_models))


def run_model(warehouse: Path) -> list[str]:
    """Run ml_return_models on a built warehouse as dbt does; hash of its rows, what it said."""
    path = ROOT / "python_models" / "ml_return_models.py"
    spec = importlib.util.spec_from_file_location("ml_return_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    schemas = {"return_features": "marts", "policy_model_features": "policy"}
    meta = {"random_seed": "42", "return_window_days": "60"}
    with duckdb.connect(str(warehouse)) as session:

        class Config:
            meta_get = staticmethod(meta.get)

            def __call__(self, **given: object) -> None:
                pass

        dbt = SimpleNamespace(
            config=Config(),
            ref=lambda name: session.table(f"{schemas.get(name, 'policy')}.{name}"),
        )
        found = module.model(dbt, session)
        return found.aggregate("count(*), sum(cast(hash(columns(*)) as hugeint))").fetchall()


def test_a_build_gives_the_same_tables_whether_it_fitted_or_not(
    shop: Build, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    shutil.copy(shop.warehouse, warehouse)
    path = tmp_path / "models" / "return" / "shop.joblib"
    first = run_model(warehouse)
    assert "is not there: the model is fitted anew" in capfd.readouterr().err
    saved = path.read_bytes()
    assert run_model(warehouse) == first
    assert capfd.readouterr().err == ""
    alter(path)
    assert run_model(warehouse) == first
    assert "SHA-256 differs" in capfd.readouterr().err
    assert path.read_bytes() == saved
    # the record in the warehouse is the one that the file was saved with
    named = "select distinct model_sha256 from marts.model_runs where task = 'return'"
    with duckdb.connect(str(shop.warehouse), read_only=True) as connection:
        found = {sha for (sha,) in connection.execute(named).fetchall() if sha}
    assert found == {hashlib.sha256(saved).hexdigest()}
    # another price: other features
    with duckdb.connect(str(warehouse)) as session:
        session.execute("update marts.return_features set unit_price = unit_price + 1")
    run_model(warehouse)
    assert "is outdated" in capfd.readouterr().err


@pytest.mark.parametrize("refit", [True, False])
def test_on_request_a_build_fits_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refit: bool
) -> None:
    path = tmp_path / "models" / "return" / "shop.joblib"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"saved")
    there: list[bool] = []
    monkeypatch.setattr(build, "run_dbt", lambda *_: there.append(path.exists()))
    monkeypatch.setattr(build.lineage, "refresh", lambda *_: None)
    monkeypatch.setattr(build, "publish", lambda warehouse: Published(warehouse, 0, 0))
    build.build(build.Settings(warehouse=tmp_path / "w.duckdb", refit=refit), io.StringIO())
    assert there[0] is not refit


def test_models_are_published_with_the_file_that_names_them(shop: Build, tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    shutil.copy(shop.warehouse, warehouse)
    shutil.copytree(shop.folder / "models", tmp_path / "models")
    published = published_path(warehouse).parent
    publish(warehouse)
    (name,) = os.listdir(published / "models" / "return")
    saved = (tmp_path / "models" / "return" / "shop.joblib").read_bytes()
    assert (published / "models" / "return" / name).read_bytes() == saved
    assert name == f"shop@{hashlib.sha256(saved).hexdigest()[:16]}.joblib"
    # a model of an earlier publication goes; one that is missing is named, and nothing breaks
    (published / "models" / "return" / "shop@0000.joblib").write_bytes(b"")
    shutil.rmtree(tmp_path / "models")
    said: list[str] = []
    publish(warehouse, said.append)
    assert any("shop.joblib is not there" in line for line in said)
    assert os.listdir(published / "models" / "return") == [name]


def test_scores_of_a_loaded_model_are_those_of_the_fitted_one(files: ModelFiles) -> None:
    fitted(files, Fits())
    columns = {"price": np.array([1.0, np.nan])}
    (version,) = fitted(files, Fits()).models
    bins = table_model.assign(version.model, columns)
    assert (table_model.margin(version.model, bins) == MODEL.intercept).all()
