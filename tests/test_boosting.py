"""A boosted model as two tables: the trees, numpy and SQL say the same, whatever the rows hold."""

import duckdb
import numpy as np
import pytest

from ml import boosting, scoring_sql, table_model
from ml.boosting import NoModel, Settings
from ml.table_model import Feature

SETTINGS = Settings(
    trees=60,
    learning_rate=0.1,
    max_bins=63,
    max_pairs=6,
    min_leaf_rows=20,
    max_categories=40,
    min_category_rows=30,
)
FEATURES = (
    Feature("price", "numeric", "price"),
    Feature("rate", "numeric", "history"),
    Feature("order_lines", "numeric", "basket"),
    Feature("constant", "numeric", "product"),
    Feature("never_known", "numeric", "product"),
    Feature("is_guest", "flag", "history"),
    Feature("category", "categorical", "product"),
    Feature("brand", "categorical", "product"),
    Feature("unnamed", "categorical", "product"),
)
# rows that no model was fitted on: NULL and NaN, infinities, other categories, hostile text
STRANGE = """
    insert into lines values
        (100001, null, null, null, null, null, null, null, null, null, 0),
        (100002, 'nan', 'nan', null, null, 'nan', null, '', '', '', 0),
        (100003, 'infinity', '-infinity', 0, 8.5, 9, true, 'unheard of', 'x''); drop --', 'a', 1),
        (100004, '-infinity', 'infinity', 1e15, -8.5, -9, false, 'it''s', 'Shoes', 'it''s', 1)
"""


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    """Table lines: features with holes, and a label that depends on pairs of them."""
    connection = duckdb.connect()
    connection.execute(
        """
        create table lines as
        with numbers as (
            select
                range as id,
                hash(range, 'a') % 1000 / 1000.0 as a,
                hash(range, 'b') % 1000 / 1000.0 as b,
                hash(range, 'c') % 1000 / 1000.0 as c,
                hash(range, 'd') % 1000 / 1000.0 as d
            from range(12000)
        )

        select
            id,
            case when d < 0.9 then exp(4 * a) end as price,
            case when a + d > 0.3 then b * b end as rate,
            cast(1 + floor(5 * c) as bigint) as order_lines,
            7.0 as constant,
            cast(null as double) as never_known,
            d < 0.2 as is_guest,
            case
                when b < 0.1 then null when b < 0.4 then 'shoes'
                when b < 0.7 then 'it''s' else 'toys'
            end as category,
            case when c < 0.5 then 'brand ' || cast(floor(150 * a * a) as int) end as brand,
            cast(null as varchar) as unnamed,
            cast(
                hash(id, 'y') % 1000 / 1000.0 < 0.1 + 0.3 * a * b + case
                    when c > 0.6 and b < 0.4 and b >= 0.1 then 0.4 else 0.2 * d
                end as int
            ) as label
        from numbers
        """
    )
    connection.execute(STRANGE)
    return connection


def rows(connection: duckdb.DuckDBPyConnection, where: str = "true") -> dict:
    return connection.execute(f"select * from lines where {where} order by id").fetchnumpy()


def fitted(data: dict, features=FEATURES, **changed) -> tuple[table_model.TableModel, object]:
    settings = Settings(**{**SETTINGS.__dict__, **changed})
    return boosting.fit(
        data, data["label"].astype(int), data["id"], features, settings=settings, random_state=3
    )


def of_trees(model: table_model.TableModel, trees: object, data: dict) -> np.ndarray:
    """What scikit-learn says of each row, as a probability."""
    matrix = table_model.encode(data, model.features, model.categories)
    return trees.predict_proba(matrix)[:, 1]


def probability(margin: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-margin))


def in_sql(connection: duckdb.DuckDBPyConnection, model: table_model.TableModel) -> np.ndarray:
    query = scoring_sql.score_query(model, features="lines", keys="id")
    found = connection.execute(f"{query} order by id").fetchnumpy()
    assert len(found["id"]) == connection.execute("select count(*) from lines").fetchall()[0][0]
    return np.asarray(found["margin"])


def joined(connection: duckdb.DuckDBPyConnection, model: table_model.TableModel) -> np.ndarray:
    """Scores by the two tables alone: every feature a row, bins by range, pairs by their bins."""
    cursor = connection.cursor()
    for name, columns, found in (
        ("bins", table_model.BIN_COLUMNS, table_model.bin_rows(model)),
        ("pairs", table_model.PAIR_COLUMNS, table_model.pair_rows(model)),
    ):
        declared = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        cursor.execute(f"create or replace temp table {name} ({declared})")
        if found:
            marks = ", ".join("?" for _ in columns)
            cursor.executemany(f"insert into {name} values ({marks})", found)
    melted = " union all ".join(
        f"select id, '{feature.name}' as feature, "
        + (
            f"null as number, {feature.name} as word"
            if feature.kind == "categorical"
            else f"nullif(cast({feature.name} as double), 'nan') as number, null as word"
        )
        + " from lines"
        for feature in model.features
    )
    found = cursor.execute(
        f"""
        with values_of_rows as ({melted}),

        kinds as (select feature, kind, max(bin) as last_bin from bins group by feature, kind),

        placed as (
            select
                values_of_rows.id,
                values_of_rows.feature,
                coalesce(
                    max(bins.bin),
                    max(case when word is null then 0 else last_bin end)
                ) as bin
            from values_of_rows
            inner join kinds on values_of_rows.feature = kinds.feature
            left join bins
                on
                    values_of_rows.feature = bins.feature
                    and bins.bin > 0
                    and (
                        word = bins.category
                        or (
                            bins.kind <> 'categorical'
                            and number > coalesce(lower_edge, '-infinity')
                            and number <= coalesce(upper_edge, 'infinity')
                        )
                        or (
                            bins.kind <> 'categorical'
                            and number = '-infinity' and lower_edge is null
                        )
                    )
            group by values_of_rows.id, values_of_rows.feature
        ),

        scores as (
            select placed.id, bins.score
            from placed
            inner join bins on placed.feature = bins.feature and placed.bin = bins.bin

            union all

            select first.id, pairs.score
            from placed as first
            inner join placed as second on first.id = second.id
            inner join pairs
                on
                    first.feature = pairs.feature_a and first.bin = pairs.bin_a
                    and second.feature = pairs.feature_b and second.bin = pairs.bin_b
        )

        select id, sum(score) as margin from scores group by id order by id
        """
    ).fetchnumpy()
    return model.intercept + np.asarray(found["margin"])


def test_tables_numpy_and_sql_say_what_the_trees_say(connection) -> None:
    model, trees = fitted(rows(connection, "id < 8000"))
    data = rows(connection)
    assert model.pairs, "a model without a pair shows nothing"
    said = of_trees(model, trees, data)
    assert said.std() > 0.05
    margins = {
        "numpy": table_model.margin(model, table_model.assign(model, data)),
        "sql": in_sql(connection, model),
        "joins": joined(connection, model),
    }
    for name, margin in margins.items():
        np.testing.assert_allclose(probability(margin), said, rtol=0, atol=1e-12, err_msg=name)


def test_a_model_read_from_its_tables_is_the_same(connection) -> None:
    model, _ = fitted(rows(connection, "id < 8000"))
    rng = np.random.default_rng(1)
    bins, pairs = table_model.bin_rows(model), table_model.pair_rows(model)
    read = table_model.from_rows(
        model.intercept,
        [bins[place] for place in rng.permutation(len(bins))],
        [pairs[place] for place in rng.permutation(len(pairs))],
    )
    data = rows(connection)
    before = table_model.margin(model, table_model.assign(model, data))
    after = table_model.margin(read, table_model.assign(read, data))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-12)


def test_contributions_and_intercept_are_the_margin(connection) -> None:
    fit_on = rows(connection, "id < 8000")
    model, _ = fitted(fit_on)
    data = rows(connection)
    bins = table_model.assign(model, data)
    parts = table_model.contributions(model, bins)
    margin = table_model.margin(model, bins)
    np.testing.assert_allclose(model.intercept + parts.sum(axis=1), margin, rtol=0, atol=1e-9)
    query = scoring_sql.contribution_query(model, features="lines", keys="id")
    found = connection.execute(f"{query} order by id").fetchnumpy()
    for position, feature in enumerate(model.features):
        said = found.get(feature.name, np.zeros(len(bins)))
        np.testing.assert_allclose(said, parts[:, position], rtol=0, atol=1e-12)
    # what is compared with is the average of the rows it was fitted on, feature by feature
    own = table_model.assign(model, fit_on)
    for position, scores in enumerate(model.scores):
        assert abs(scores[own[:, position]].mean()) < 1e-12
    for (a, b), table in model.pairs.items():
        share = np.bincount(own[:, b], minlength=table.shape[1]) / len(own)
        assert np.abs(table @ share).max() < 1e-12
        share = np.bincount(own[:, a], minlength=table.shape[0]) / len(own)
        assert np.abs(share @ table).max() < 1e-12


def test_a_calibrated_model_is_one_model(connection) -> None:
    model, _ = fitted(rows(connection, "id < 8000"))
    bins = table_model.assign(model, rows(connection))
    calibrated = table_model.calibrated(model, -0.3, 1.2)
    np.testing.assert_allclose(
        table_model.margin(calibrated, bins),
        -0.3 + 1.2 * table_model.margin(model, bins),
        rtol=0,
        atol=1e-12,
    )


def test_missing_rare_and_unseen_values_have_their_bins(connection) -> None:
    model, _ = fitted(rows(connection, "id < 8000"))
    strange = rows(connection, "id >= 100000")
    bins = dict(
        zip([f.name for f in model.features], table_model.assign(model, strange).T, strict=True)
    )
    edges = {f.name: len(model.edges[at]) for at, f in enumerate(model.features)}
    other = {f.name: len(model.categories[at]) + 1 for at, f in enumerate(model.features)}
    assert bins["price"].tolist() == [0, 0, edges["price"] + 1, 1]
    assert bins["is_guest"].tolist() == [0, 0, edges["is_guest"] + 1, 1]
    assert bins["category"][[0, 1, 2]].tolist() == [0, other["category"], other["category"]]
    assert model.categories[[f.name for f in model.features].index("category")] == (
        "it's",
        "shoes",
        "toys",
    )
    assert bins["category"][3] == 1
    # 30 rows make a bin of one's own
    brand = model.categories[[f.name for f in model.features].index("brand")]
    counts = dict(
        connection.execute(
            "select brand, count(*) from lines where id < 8000 and brand is not null group by all"
        ).fetchall()
    )
    assert list(brand) == sorted(name for name, count in counts.items() if count >= 30)
    most = sorted(counts, key=lambda name: (-counts[name], name))[:5]
    few, _ = fitted(rows(connection, "id < 8000"), max_categories=5)
    assert few.categories[[f.name for f in few.features].index("brand")] == tuple(sorted(most))


def test_the_order_of_rows_makes_no_difference(connection) -> None:
    data = rows(connection, "id < 8000")
    shuffle = np.random.default_rng(5).permutation(len(data["id"]))
    one, _ = fitted(data)
    two, _ = fitted({name: values[shuffle] for name, values in data.items()})
    assert table_model.bin_rows(one) == table_model.bin_rows(two)
    assert table_model.pair_rows(one) == table_model.pair_rows(two)
    assert one.intercept == two.intercept


def test_no_path_has_more_than_two_features_nor_more_pairs_than_allowed(connection) -> None:
    data = rows(connection, "id < 8000")
    for most in (0, 2):
        model, _ = fitted(data, max_pairs=most)
        assert len(model.pairs) <= most
    features = boosting.in_order(FEATURES)
    categories = boosting.frequent_categories(data, features, SETTINGS)
    from sklearn.ensemble import HistGradientBoostingClassifier

    deep = HistGradientBoostingClassifier(
        max_iter=5,
        max_depth=4,
        categorical_features=[feature.kind == "categorical" for feature in features],
    )
    usable = [feature.name not in ("never_known", "unnamed") for feature in features]
    matrix = table_model.encode(data, features, categories)
    deep.fit(np.where(usable, matrix, 0.0), data["label"])
    with pytest.raises(ValueError, match="three features"):
        boosting.collapse(deep, features, categories)


def test_ten_rows_or_constant_features_give_the_base_rate(connection) -> None:
    # both classes occur among the first ten
    ten = rows(connection, "id < 10")
    assert 0 < ten["label"].sum() < 10
    model, trees = fitted(ten)
    data = rows(connection)
    np.testing.assert_allclose(of_trees(model, trees, data), ten["label"].mean(), atol=1e-12)
    np.testing.assert_allclose(probability(in_sql(connection, model)), ten["label"].mean())

    knows_nothing = [f for f in FEATURES if f.name in ("constant", "never_known", "unnamed")]
    model, trees = fitted(rows(connection, "id < 8000"), features=knows_nothing)
    np.testing.assert_allclose(
        probability(in_sql(connection, model)), of_trees(model, trees, data), atol=1e-12
    )
    assert not model.pairs


def test_without_categorical_features(connection) -> None:
    numeric = [feature for feature in FEATURES if feature.kind != "categorical"]
    model, trees = fitted(rows(connection, "id < 8000"), features=numeric)
    np.testing.assert_allclose(
        probability(in_sql(connection, model)),
        of_trees(model, trees, rows(connection)),
        rtol=0,
        atol=1e-12,
    )


def test_one_class_is_no_model_and_a_rate_is_one(connection) -> None:
    data = rows(connection, "id < 8000 and label = 1")
    with pytest.raises(NoModel, match="one class only"):
        fitted(data)
    model = table_model.constant(boosting.in_order(FEATURES), 0.25)
    np.testing.assert_allclose(probability(in_sql(connection, model)), 0.25)
    np.testing.assert_allclose(probability(joined(connection, model)), 0.25)


def test_a_name_that_is_none_is_refused() -> None:
    model = table_model.constant([Feature("a; drop table b", "numeric", "x")], 0.5)
    model.scores[0][:] = 1.0
    with pytest.raises(ValueError, match="no name of a feature"):
        scoring_sql.score_query(model, features="lines", keys="id")
