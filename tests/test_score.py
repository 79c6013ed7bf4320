"""`retour score`: numbers as the table would hold them, a sentence for what cannot be scored."""

import csv
import io
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pytest

from ml import evaluation, table_model
from retour.errors import RetourError
from retour.line_errors import LineError
from retour.model_files import FOLDER, loaded
from retour.publish import publish, published_path
from retour.rendering import Project
from retour.scoring import RESULT, SCORE, Scorer, rows
from tests.support import ROOT, Build, query, run_dbt

# as a shop would export them: other cases and blanks, what was never seen, what is not known
ODD_LINES = """
X1,xo-1,2026-07-02 09:00:00, c00000001 ,P000001,S00001,agora, Tops ,Rowan,XL,Blue,DE,,,,2,19.99,1.5,
X2,xo-1,2026-07-02 09:00:00,c00000001,p000001,S00001,agora,tops,Rowan,L,blue,DE,,,,1,19.99,,EUR
X3,xo-1,2026-07-02 09:00:00,c00000001,P000001,S00001,agora,tops,Rowan,L,blue,DE,,,,1,19.99,,EUR
X4,xo-2,2026-07-03,,P-NEVER-SEEN,S-NEVER,moon,anvils,Acme,,,ZZ,barter,fax,giant,7,1234.5678,,
X5,xo-3,2026-07-03 23:59:59,C-NEW,P-NEVER-SEEN,,,,,,,,,,,1,0,,
X6,xo-4,2026-07-22T10:00:00+02:00,C-NEW,P000002,,,,,,,,,,,1,10,,
X7,xo-5,2026-07-22 12:00:00,0,P000002,,,unknown,,,,all,,,,1,10,,
,xo-6,2026-07-05,C-NEW,P000003,,,,,,,,,,,1,12.5,,
,xo-6,2026-07-05,C-NEW,P000003,,,,,,,,,,,1,12.5,,
"""
HEADER = (
    "order_line_id,order_id,ordered_at,customer_id,product_id,seller_id,marketplace,category,brand,"
    "size,colour,country,payment_method,channel,customer_type,quantity,unit_price,discount_amount,"
    "currency"
)
# lines of the last three weeks, again three weeks later
LATER = """
    select
        'N-' || order_line_id as order_line_id, 'N-' || order_id as order_id,
        ordered_at + interval 21 day as ordered_at, lower(customer_id) as customer_id, product_id,
        seller_id, marketplace, category, brand, size, colour, country, payment_method, channel,
        customer_type, ordered_quantity as quantity, unit_price, discount_amount, currency
    from marts.order_lines
    where ordered_date > as_of_date - 21
    order by ordered_at, order_line_id
    limit 1000
"""


@dataclass(frozen=True)
class World:
    """The demo published, a file of new lines, and a rebuild of the features with these lines."""

    published: Path
    lines: Path
    rebuilt: Build


@pytest.fixture(scope="module")
def world(demo: Build, tmp_path_factory: pytest.TempPathFactory) -> World:
    before = Build(tmp_path_factory.mktemp("before"))
    after = Build(tmp_path_factory.mktemp("after"))
    for build in (before, after):
        shutil.copy(demo.warehouse, build.warehouse)
    shutil.copytree(demo.folder / FOLDER, before.folder / FOLDER)
    shutil.copytree(demo.raw, after.raw)
    lines = before.folder / "lines.csv"
    with duckdb.connect(str(before.warehouse), read_only=True) as connection:
        connection.execute(f"copy ({LATER}) to '{lines}' (header)")
    with lines.open("a") as file:
        file.write(ODD_LINES.lstrip())
    shutil.copy(lines, after.raw / "demo" / "order_lines_zz.csv")
    shutil.copytree(demo.target, after.target)
    run_dbt(["run", "--select", "+return_features"], after.vars, target=after.target)
    return World(publish(before.warehouse).path, lines, after)


@pytest.fixture(scope="module")
def scorer(world: World) -> Scorer:
    return Scorer(world.published)


def scored(scorer: Scorer, path: Path) -> list[dict]:
    text = io.StringIO()
    scorer.score_file(path, text)
    return list(csv.DictReader(io.StringIO(text.getvalue())))


def test_new_lines_have_the_features_of_a_rebuild_with_them(world: World, scorer: Scorer) -> None:
    with duckdb.connect(str(world.rebuilt.warehouse), read_only=True) as connection:
        wanted = {
            row["order_line_id"]: row
            for row in rows(connection, "select * from marts.return_features")
        }
    found = scorer.features_of_file(world.lines)
    assert len(found) == 1009
    compared = 0
    for row in found:
        expected = wanted[row["order_line_id"]]
        for name in scorer.publication.features:
            wanted_value = expected[name]
            if isinstance(wanted_value, float):
                wanted_value = pytest.approx(wanted_value, rel=1e-12, abs=1e-12)
            assert row[name] == wanted_value, (row["order_line_id"], name)
            compared += row[name] is not None
    assert compared > 30_000


def test_new_lines_have_the_scores_of_a_rebuild_with_the_same_model(
    world: World, scorer: Scorer
) -> None:
    with duckdb.connect(str(world.rebuilt.warehouse), read_only=True) as connection:
        columns = connection.execute(
            "select * from marts.return_features"
            " where ordered_date > date '2026-06-30' order by order_line_id"
        ).fetchnumpy()
    model = scorer.version.model
    margin = table_model.margin(model, table_model.assign(model, columns))
    keys = np.ma.getdata(columns["order_line_id"]).tolist()
    wanted = dict(zip(keys, evaluation.sigmoid(margin), strict=True))
    found = scored(scorer, world.lines)
    assert len(found) == len(wanted) == 1009
    for row in found:
        difference = float(row["return_probability"]) - wanted[row["order_line_id"]]
        assert abs(difference) <= 1e-9
    # in the order of the file, whatever stands in it
    assert [row["order_line_id"] for row in found][-9:-2] == [f"X{n}" for n in range(1, 8)]
    assert {row["model_version"] for row in found} == {"table@2026-03-31+cal2026-06-30"}
    assert {"ship", "low"} < {row["recommended_action"] for row in found} | {
        row["risk_band"] for row in found
    }
    assert all(float(row["expected_cost"]) >= 0 for row in found)


def alike(one: str, other: str) -> bool:
    """The same text, or numbers less than 1e-9 apart: sums of doubles keep no last digit."""
    return one == other or abs(float(one) - float(other)) < 1e-9


def test_lines_given_one_by_one_and_as_parquet_score_alike(
    world: World, scorer: Scorer, tmp_path: Path
) -> None:
    """Lines of one day know nothing of each other but their basket."""
    found = {row["order_line_id"]: row for row in scored(scorer, world.lines)}
    parquet = tmp_path / "lines.parquet"
    duckdb.sql(f"copy (from '{world.lines}') to '{parquet}'")
    again = scored(scorer, parquet)
    assert [row.keys() for row in again] == [row.keys() for row in found.values()]
    for row, wanted in zip(again, found.values(), strict=True):
        for name, text in row.items():
            assert alike(text, wanted[name]), name
    with world.lines.open() as file:
        basket = [line for line in csv.DictReader(file) if line["order_id"] == "xo-1"]
    given = [{name: value or None for name, value in line.items()} for line in basket]
    for row in scorer.score_lines(given):
        wanted = found[row["order_line_id"]]
        for name in SCORE:
            assert alike(str(row[name] or ""), wanted[name]), name
        said = [reason["sentence"] for reason in row["reasons"]]
        columns = [f"reason_{rank}_sentence" for rank in (1, 2, 3)]
        assert said == [wanted[name] for name in columns if wanted[name]]
        assert said


def test_saved_models_give_the_published_scores(demo: Build) -> None:
    """Every line of the table, by the joblib file, to 1e-9."""
    models = loaded((demo.folder / FOLDER / "return" / "demo.joblib").read_bytes())["models"]
    compared = 0
    with duckdb.connect(str(demo.warehouse), read_only=True) as connection:
        for version in models:
            columns = connection.execute(
                "select return_features.*, return_probability from marts.return_features"
                " inner join marts.order_return_scores using (source, order_line_id)"
                " where model_version = ? order by order_line_id",
                [version.name],
            ).fetchnumpy()
            if len(columns["return_probability"]):
                bins = table_model.assign(version.model, columns)
                said = evaluation.sigmoid(table_model.margin(version.model, bins))
                np.testing.assert_allclose(said, columns["return_probability"], rtol=0, atol=1e-9)
                compared += len(said)
    assert (compared,) == query(demo, "select count(*) from marts.order_return_scores")[0]


GOOD = "X1,O1,2026-07-02,C1,P000001,,,,,,,,,,,1,10,,"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{HEADER},wieght\n{GOOD},3\n", "no column 'wieght'"),
        (f"{HEADER.replace('category', 'kategory')}\n{GOOD}\n", "Did you mean 'category'?"),
        (f"{HEADER.replace('quantity,', '')}\n", "required column 'quantity' is missing"),
        (f"{HEADER}\n{GOOD}\n{GOOD.replace(',1,10', ',x,10')}\n", "row 2: quantity is no whole"),
        (f"{HEADER}\n{GOOD.replace(',1,10', ',0,10')}\n", "row 1: quantity must be 1 or more"),
        (f"{HEADER}\n{GOOD.replace(',1,10', ',1,ten')}\n", "row 1: unit_price is no number"),
        (f"{HEADER}\n{GOOD.replace(',1,10', ',1,-1')}\n", "unit_price must not be negative"),
        (f"{HEADER}\n{GOOD.replace(',1,10', ',1,NaN')}\n", "unit_price is no number"),
        (f"{HEADER}\n{GOOD.replace(',1,10,', ',1,10,11')}\n", "discount_amount exceeds"),
        (f"{HEADER}\n{GOOD.replace('O1', '')}\n", "row 1: order_id is missing"),
        (f"{HEADER}\n{GOOD.replace('2026-07-02', '2.7.2026')}\n", "ordered_at is no ISO date"),
        (f"{HEADER}\n{GOOD.replace('2026-07-02', '2026-06-30')}\n", "must be after 2026-06-30"),
        (f"{HEADER}\n{GOOD}XYZ\n", "currency has no rate"),
        (f"{HEADER}\n{GOOD}\n{GOOD}\n", "order_line_id stands in another row too"),
        (f"{HEADER},delivered_at\n{GOOD},2026-07-03\n", "delivered_at cannot be known"),
        (f"{HEADER}\n{GOOD},,,x\n", "row 1: the line cannot be read (too_many_values)"),
        ("", "the file is empty"),
    ],
)
def test_what_cannot_be_scored_is_named_with_row_and_column(
    scorer: Scorer, tmp_path: Path, text: str, sentence: str
) -> None:
    path = tmp_path / "lines.csv"
    path.write_text(text)
    with pytest.raises(RetourError) as refused:
        scorer.score_file(path, io.StringIO())
    assert sentence in str(refused.value)
    assert "Traceback" not in str(refused.value)
    # and the next file is scored
    path.write_text(f"{HEADER}\n{GOOD}\n")
    assert len(scored(scorer, path)) == 1


def test_an_excluded_product_and_other_kinds_of_files_are_refused(
    scorer: Scorer, tmp_path: Path, demo: Build
) -> None:
    (product,) = query(
        demo,
        "select min(id) from intermediate.int_ids_excluded"
        " where field = 'product_id' and excluded_by is not null",
    )[0]
    path = tmp_path / "lines.csv"
    path.write_text(f"{HEADER}\n{GOOD.replace('P000001', product)}\n")
    with pytest.raises(LineError, match="excluded by policy"):
        scorer.score_file(path, io.StringIO())
    for name in ("lines.xlsx", "nowhere.csv"):
        with pytest.raises(RetourError, match=r"neither|cannot be read"):
            scorer.score_file(tmp_path / name, io.StringIO())
    path.write_text(f"{HEADER}\n")
    assert scored(scorer, path) == []


def test_without_the_model_that_was_published_nothing_is_scored(
    world: World, tmp_path: Path
) -> None:
    published = tmp_path / "retour.duckdb"
    shutil.copy(world.published, published)
    with pytest.raises(RetourError, match=r"is not there: nothing is scored. Run `make build`"):
        Scorer(published)
    shutil.copytree(world.published.parent / FOLDER, tmp_path / FOLDER)
    Scorer(published).close()
    (path,) = (tmp_path / FOLDER / "return").iterdir()
    saved = path.read_bytes()
    for data in (saved[:-1], saved[:1000] + b"x" + saved[1001:], b""):
        path.write_bytes(data)
        with pytest.raises(RetourError, match="SHA-256 differs"):
            Scorer(published)
    with pytest.raises(RetourError, match=r"has no source 'dmo'\. Did you mean 'demo'"):
        Scorer(world.published, "dmo")
    with pytest.raises(RetourError, match="There is no published file"):
        Scorer(tmp_path / "none.duckdb")
    (tmp_path / "text.duckdb").write_text("no database")
    with pytest.raises(RetourError, match="cannot be read"):
        Scorer(tmp_path / "text.duckdb")


def test_a_model_of_another_build_is_refused(world: World, tmp_path: Path) -> None:
    """Outdated: the published file is newer than the model that stands beside it."""
    published = tmp_path / "retour.duckdb"
    shutil.copy(world.published, published)
    shutil.copytree(world.published.parent / FOLDER, tmp_path / FOLDER)
    with duckdb.connect(str(published)) as connection:
        connection.execute(
            "update marts.model_runs set model_sha256 = repeat('0', 64)"
            " where model_sha256 is not null"
        )
    with pytest.raises(RetourError, match="is not there"):
        Scorer(published)


def test_the_command_writes_what_the_scorer_says(world: World, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from retour.cli import main

    path, output = tmp_path / "lines.csv", tmp_path / "scores.csv"
    path.write_text(f"{HEADER}\n{GOOD}\n")
    arguments = ["score", str(path), "--published", str(world.published)]
    printed = CliRunner().invoke(main, arguments)
    assert printed.exit_code == 0, printed.output
    assert printed.output.splitlines()[0].split(",") == list(RESULT)
    written = CliRunner().invoke(main, [*arguments, "--output", str(output)])
    assert "1 lines scored" in written.output or "1 line scored" in written.output
    assert output.read_text() == printed.output
    path.write_text(f"{HEADER}\n{GOOD.replace(',1,10', ',x,10')}\n")
    refused = CliRunner().invoke(main, [*arguments, "--output", str(output)])
    assert refused.exit_code == 1 and "row 1: quantity" in refused.output
    assert output.read_text() == printed.output
    assert sorted(os.listdir(tmp_path)) == ["lines.csv", "scores.csv"]


def test_the_sql_is_what_dbt_compiles(demo: Build) -> None:
    project = Project(ROOT, {"return_window_days": 60, "random_seed": 42})
    compiled = {
        node["name"]: node["compiled_code"]
        for node in demo.manifest["nodes"].values()
        if node["resource_type"] == "model" and node.get("compiled_code")
    }
    for name in (
        "stg_canonical__order_lines",
        "int_order_lines_screened",
        "int_feature_entities",
        "int_feature_lines",
        "int_entity_days",
        "return_features",
        "order_return_scores",
    ):
        wanted = re.sub(r'"warehouse"\."\w+"\."(\w+)"', r"\1", compiled[name])
        assert "".join(project.model(name).split()) == "".join(wanted.split()), name


def test_history_that_is_known_by_waiting_counts(world: World) -> None:
    """Undelivered lines of the demo leave the counters when their return window is over."""
    scorer = Scorer(world.published)
    waiting = scorer.connection.execute("select count(*) from waiting").fetchall()[0][0]
    assert waiting > 100
    assert published_path(world.rebuilt.warehouse).name == world.published.name
