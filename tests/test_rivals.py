"""A model that is no table scores, where it is better by more than the stated margin."""

import shutil

import duckdb
import numpy as np
import pytest

from ml import batches, evaluation
from ml.candidates import Rival
from retour import publication
from retour.checkout import Checkout
from retour.errors import RetourError
from retour.model_files import FOLDER, loaded
from retour.publish import publish
from retour.scoring import Scorer, rows
from tests.support import Build, run_dbt

MODELS = (
    *(
        "ml_return_models",
        "ml_return_scorers",
        "ml_return_scores",
        "order_return_scores",
        "int_flagged_lines",
    ),
    *("ml_return_reasons", "order_return_reasons", "int_model_records", "model_runs"),
    "model_promotions",
)


@pytest.fixture(scope="module")
def build(demo: Build, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The demo, its champion chosen with a margin that any rival beats."""
    build = Build(tmp_path_factory.mktemp("rivals"))
    shutil.copy(demo.warehouse, build.warehouse)
    shutil.copytree(demo.target, build.target)
    with duckdb.connect(str(build.warehouse)) as connection:
        connection.execute(
            "update policy.policy_parameters set value = 0"
            " where policy_name = 'return_champion_min_gain_permille'"
        )
    variables = build.vars | {"raw": str(demo.raw)}
    run_dbt(["run", "--select", *MODELS], variables, target=build.target)
    return build


def saved(build: Build) -> list:
    (path,) = (build.folder / FOLDER / "return").glob("*.joblib")
    return loaded(path.read_bytes())["models"]


def test_the_champion_scores_every_line_by_its_saved_model(build: Build) -> None:
    versions = saved(build)
    assert all(isinstance(version.rival, Rival) for version in versions)
    (kind,) = {version.rival.kind for version in versions}
    compared = 0
    with duckdb.connect(str(build.warehouse), read_only=True) as connection:
        champions = connection.execute(
            "select model from marts.model_runs where task = 'return' and is_champion"
        ).fetchall()
        assert champions == [(kind,)]
        for version in versions:
            assert version.name.startswith(f"{kind}@") and version.name.endswith(
                str(version.trained_on)
            )
            columns = connection.execute(
                "select return_features.*, return_probability from marts.return_features"
                " inner join marts.order_return_scores using (source, order_line_id)"
                " where model_version = ? order by order_line_id",
                [version.name],
            ).fetchnumpy()
            if len(columns["return_probability"]):
                said = evaluation.sigmoid(version.rival.margin(columns))
                np.testing.assert_allclose(said, columns["return_probability"], rtol=0, atol=1e-9)
                compared += len(said)
        counts = connection.execute("select count(*) from marts.return_features").fetchall()
        assert counts == [(compared,)]
        # the table of the day explains, and what it does not say is the rest
        worst = connection.execute(
            """
            select max(abs(base + rest + said - log_odds)), count(*)
            from (
                select
                    max(base) as base, max(rest) as rest, max(log_odds) as log_odds,
                    sum(contribution) as said
                from marts.order_return_reasons group by source, order_line_id
            )
            """
        ).fetchall()[0]
        assert worst[0] <= 1e-6 and worst[1] > 100


def test_promotions_name_the_rival_that_scores(demo: Build, build: Build) -> None:
    variables = build.vars | {"raw": str(demo.raw)}
    run_dbt(["test", "--select", "assert_model_promotions"], variables, target=build.target)
    (kind,) = {version.rival.kind for version in saved(build)}
    with duckdb.connect(str(build.warehouse), read_only=True) as connection:
        decided = connection.execute(
            "select champion_version, in_use_version, sentence from marts.model_promotions"
            " order by decided_on"
        ).fetchall()
    assert len(decided) > 6
    # the rival of the recalibrated table is recalibrated on the same day
    assert decided[-1][1] == f"{kind}@2026-03-31+cal2026-06-30" == saved(build)[-1].name
    for champion, in_use, sentence in decided:
        # decisions are between tables, which are trained on the days of the rivals
        assert (champion or "table@").startswith("table@") and in_use.startswith(f"{kind}@")
        assert f"Lines are scored by the {kind} model of the same day" in sentence


def test_batches_are_small_and_do_not_matter(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    version = saved(build)[-1]
    margin = Rival.margin

    def counted(self: Rival, columns: dict) -> np.ndarray:
        sizes.append(len(columns["order_line_id"]))
        return margin(self, columns)

    monkeypatch.setattr(Rival, "margin", counted)
    found = []
    for size in (10**9, 500):
        monkeypatch.setattr(batches, "ROWS", size)
        with duckdb.connect() as connection:
            connection.execute(f"attach '{build.warehouse}' as built (read_only)")
            connection.execute("create table scored (source varchar, id varchar, margin double)")
            batches.score(
                connection,
                version.rival,
                lines="built.marts.return_features",
                where="ordered_date > as_of_date - 20",
                into="scored",
            )
            found.append(connection.execute("from scored order by id").fetchall())
    whole, parts = ({key: margin for _, key, margin in scored} for scored in found)
    assert whole.keys() == parts.keys() and len(whole) == len(found[1]) > 1000
    # sums of many products may differ in the last digit with the number of rows
    assert max(abs(margin - parts[key]) for key, margin in whole.items()) <= 1e-9
    assert sizes[0] == len(found[0]) and max(sizes[1:]) < 1000


def test_new_lines_are_scored_by_it_too(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    path = publish(build.warehouse).path
    scorer = Scorer(path)
    assert scorer.version.name == saved(build)[-1].name
    with duckdb.connect(str(path), read_only=True) as connection:
        lines = rows(
            connection,
            """
            select
                'N-' || order_line_id as order_line_id, 'N-' || order_id as order_id,
                ordered_at + interval 21 day as ordered_at, customer_id, product_id, seller_id,
                marketplace, category, brand, size, country, payment_method,
                cast(ordered_quantity as int) as quantity, unit_price, discount_amount
            from marts.order_lines where ordered_date > as_of_date - 3 order by order_line_id
            """,
        )
    found = {row["order_line_id"]: row for row in scorer.score_lines(lines)}
    with scorer._transaction():
        scorer._take(lines)
        scorer._run()
        columns = scorer.connection.execute("from return_features").fetchnumpy()
    wanted = scorer.version.rival.margin(columns)
    for key, margin in zip(columns["order_line_id"], wanted, strict=True):
        row = found[key]
        assert abs(row["log_odds"] - margin) <= 1e-9
        parts = sum(reason["contribution"] for reason in row["reasons"])
        assert row["base"] + parts + row["rest"] == pytest.approx(row["log_odds"], abs=1e-9)
    # the short way of the service is for tables: what is none goes through SQL
    assert Checkout(scorer).score(lines[:1]) is None
    scorer.close()
    monkeypatch.setattr(publication, "libraries", lambda: {"scikit-learn": "0.1"})
    with pytest.raises(RetourError, match=r"other versions of libraries .* Run `make build`"):
        Scorer(path)
