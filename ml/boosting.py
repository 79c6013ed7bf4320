"""Boosted trees of which no path asks more than two features: exactly a table of pairs.

A leaf of such a tree is a box over two features. With the thresholds of all trees as bin edges,
the sum of all trees is `intercept + one score per bin + one score per pair of bins`, and that is
what is kept, published and scored in SQL; the trees are needed no longer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.table_model import (
    Columns,
    Feature,
    Floats,
    Ints,
    TableModel,
    assign,
    centred,
    encode,
    is_missing,
)


@dataclass(frozen=True)
class Settings:
    """The numbers of policy_parameters that fitting needs."""

    trees: int
    learning_rate: float
    max_bins: int
    max_pairs: int
    min_leaf_rows: int
    max_categories: int
    min_category_rows: int


class NoModel(Exception):
    """Why nothing can be fitted; the message is for the reader of model_runs."""


def fit(
    columns: Columns,
    label: Ints,
    key: NDArray,
    features: Sequence[Feature],
    *,
    settings: Settings,
    random_state: int,
) -> tuple[TableModel, object]:
    """The table model of some rows, centred on them, and the trees that it was made of.

    label: 1 or 0; key: what tells rows apart, so that their order makes no difference. Raises
    NoModel where one of the classes is missing.
    """
    if not 0 < label.sum() < len(label):
        raise NoModel(f"{len(label)} rows of one class only: nothing tells returns from others")
    order = np.argsort(key, kind="stable")
    columns = {feature.name: columns[feature.name][order] for feature in features}
    features = in_order(features)
    categories = frequent_categories(columns, features, settings)
    matrix = encode(columns, features, categories)
    trees = fit_trees(matrix, label[order], features, settings=settings, random_state=random_state)
    model = collapse(trees, features, categories)
    return centred(model, assign(model, columns)), trees


def in_order(features: Sequence[Feature]) -> tuple[Feature, ...]:
    """Categorical features first, else as given: scikit-learn moves them there, but does not move
    the constraints on interactions with them."""
    return tuple(sorted(features, key=lambda feature: feature.kind != "categorical"))


def frequent_categories(columns: Columns, features: Sequence[Feature], settings: Settings) -> tuple:
    """Per feature the categories with a bin of their own, by name; none for other kinds."""
    found = []
    for feature in features:
        names: list[str] = []
        if feature.kind == "categorical":
            values = columns[feature.name]
            known = values[~is_missing(values)].astype(str)
            unique, counts = np.unique(known, return_counts=True)
            order = np.lexsort([unique, -counts])[: settings.max_categories]
            names = sorted(unique[order][counts[order] >= settings.min_category_rows].tolist())
        found.append(tuple(names))
    return tuple(found)


def fit_trees(
    matrix: Floats,
    label: Ints,
    features: Sequence[Feature],
    *,
    settings: Settings,
    random_state: int,
) -> object:
    """A scikit-learn booster whose paths use at most two features, of the best max_pairs pairs.

    Which pairs are the best is asked of a first, short fit in which all may meet. Both classes must
    occur. The result depends on the order of rows in its last digits: sort them.
    """
    from threadpoolctl import threadpool_limits

    if tuple(features) != in_order(features):
        raise ValueError("Categorical features must come first: put them in_order.")

    # a feature without any value has no thresholds, which scikit-learn cannot take
    matrix = np.where(np.isnan(matrix).all(axis=0), 0.0, matrix)
    # threads would add up in another order
    with threadpool_limits(1):
        search = _booster(features, settings, random_state, trees=max(10, settings.trees // 4))
        pairs = _best_pairs(search.fit(matrix, label), settings.max_pairs)
        alone = [{position} for position in range(len(features))]
        booster = _booster(features, settings, random_state, allowed=[*map(set, pairs), *alone])
        return booster.fit(matrix, label)


def _booster(
    features: Sequence[Feature],
    settings: Settings,
    random_state: int,
    trees: int | None = None,
    allowed: list[set[int]] | None = None,
) -> object:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=trees or settings.trees,
        learning_rate=settings.learning_rate,
        max_depth=2,
        max_bins=settings.max_bins,
        min_samples_leaf=settings.min_leaf_rows,
        categorical_features=[feature.kind == "categorical" for feature in features],
        interaction_cst=allowed,
        early_stopping=False,
        random_state=random_state,
    )


def _best_pairs(booster: object, most: int) -> list[tuple[int, int]]:
    """Pairs of features by what the second split of a path gained, the best first."""
    gains: dict[tuple[int, int], float] = {}
    for nodes in _trees(booster):
        for node in nodes[~nodes["is_leaf"].astype(bool)]:
            for child in nodes[[node["left"], node["right"]]]:
                pair = tuple(sorted((int(node["feature_idx"]), int(child["feature_idx"]))))
                if not child["is_leaf"] and pair[0] != pair[1]:
                    gains[pair] = gains.get(pair, 0.0) + float(child["gain"])
    return sorted(gains, key=lambda pair: (-gains[pair], pair))[:most]


def _trees(booster: object) -> list[NDArray]:
    return [stage[0].nodes for stage in booster._predictors]


def collapse(booster: object, features: Sequence[Feature], categories: Sequence) -> TableModel:
    """The same function as tables; raises ValueError where a path uses more than two features."""
    edges = _edges(booster, features)
    known = _known_categories(booster, features)
    bins = [
        _representatives(*parts) for parts in zip(features, edges, categories, known, strict=True)
    ]
    scores = [np.zeros(len(values)) for values in bins]
    pairs: dict[tuple[int, int], Floats] = {}
    intercept = float(booster._baseline_prediction.ravel()[0])
    for stage in booster._predictors:
        for value, path in _leaves(stage[0], bins):
            used = sorted(path)
            if not used:
                intercept += value
            elif len(used) == 1:
                scores[used[0]] += value * path[used[0]]
            elif len(used) == 2:
                box = np.outer(path[used[0]], path[used[1]])
                shape = pairs.setdefault(tuple(used), np.zeros(box.shape))
                shape += value * box
            else:
                names = ", ".join(features[position].name for position in used)
                raise ValueError(f"A path uses {names}: no table of pairs can hold three features.")
    return TableModel(
        tuple(features), tuple(edges), tuple(categories), intercept, tuple(scores), pairs
    )


def _edges(booster: object, features: Sequence[Feature]) -> list[Floats]:
    """Per feature the thresholds that any tree asks; none for categorical ones."""
    found: list[set[float]] = [set() for _ in features]
    for nodes in _trees(booster):
        for node in nodes[~nodes["is_leaf"].astype(bool)]:
            if not node["is_categorical"] and np.isfinite(node["num_threshold"]):
                found[node["feature_idx"]].add(float(node["num_threshold"]))
    return [np.array(sorted(values)) for values in found]


def _known_categories(booster: object, features: Sequence[Feature]) -> list[Floats]:
    """Per feature the encoded categories that occurred when it was fitted."""
    if features[0].kind != "categorical":
        return [np.array([]) for _ in features]
    found = booster._preprocessor.named_transformers_["encoder"].categories_
    return [*found, *(np.array([]) for _ in features[len(found) :])]


def _representatives(
    feature: Feature, edges: Floats, categories: Sequence[str], known: Floats
) -> Floats:
    """One value of each bin, encoded. What never occurred when the trees were fitted goes with what
    is missing, as in scikit-learn."""
    if feature.kind == "categorical":
        codes = np.arange(len(categories) + 1.0)
        return np.concatenate([[np.nan], np.where(np.isin(codes, known), codes, np.nan)])
    return np.concatenate([[np.nan], edges, [np.inf]])


def _leaves(tree: object, bins: Sequence[Floats]) -> Iterator[tuple[float, dict[int, Floats]]]:
    """Each leaf's value and, per feature on its path, whether it takes each bin (1.0 or 0.0)."""
    stack = [(0, {})]
    while stack:
        number, path = stack.pop()
        node = tree.nodes[number]
        if node["is_leaf"]:
            yield float(node["value"]), path
            continue
        position = int(node["feature_idx"])
        left = _goes_left(tree, node, bins[position])
        for child, taken in ((node["right"], ~left), (node["left"], left)):
            stack.append((int(child), path | {position: path.get(position, 1.0) * taken}))


def _goes_left(tree: object, node: np.void, values: Floats) -> NDArray[np.bool_]:
    """What scikit-learn's predictor does with each value; NaN is missing."""
    missing = np.isnan(values)
    if not node["is_categorical"]:
        return np.where(missing, bool(node["missing_go_to_left"]), values <= node["num_threshold"])
    codes = np.where(missing, 0, values).astype(int)
    words = tree.raw_left_cat_bitsets[node["bitset_idx"]]
    left = (words[codes // 32] >> (codes % 32).astype(np.uint32)) & 1
    return np.where(missing, bool(node["missing_go_to_left"]), left.astype(bool))
