"""A model that is two tables: one score per bin of a feature, one per pair of bins.

`margin = intercept + sum of scores of bins + sum of scores of pairs of bins`, in log-odds.

Bins of a feature: 0 holds what is missing, 1 to k the intervals in ascending order (lower edge
excluded, upper included) or the categories by name; a categorical feature has one bin more, k + 1,
for categories that are rare or were never seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = Mapping[str, NDArray]


@dataclass(frozen=True)
class Feature:
    """What a model may ask: kind is numeric, flag (true or false) or categorical (text)."""

    name: str
    kind: str
    group: str


@dataclass(frozen=True)
class TableModel:
    """A collapsed model. edges and categories are per feature (one of both is empty); scores holds
    an array per feature, pairs one of shape (bins of a, bins of b) per pair of positions a < b.
    """

    features: tuple[Feature, ...]
    edges: tuple[Floats, ...]
    categories: tuple[tuple[str, ...], ...]
    intercept: float
    scores: tuple[Floats, ...]
    pairs: dict[tuple[int, int], Floats]


def encode(columns: Columns, features: Sequence[Feature], categories: Sequence) -> Floats:
    """Columns as one matrix of shape (rows, features): NaN is missing, categories are their number
    from 0 on, the last number is any other category."""
    matrix = np.empty((len(columns[features[0].name]), len(features)))
    for position, feature in enumerate(features):
        values = columns[feature.name]
        missing = is_missing(values)
        if feature.kind == "categorical":
            names = np.array(categories[position], dtype=str)
            text = np.where(missing, "", np.ma.getdata(values)).astype(str)
            place = np.searchsorted(names, text)
            found = np.append(names, "")[place] == text
            found[place == len(names)] = False
            matrix[:, position] = np.where(found, place, len(names))
        else:
            matrix[:, position] = np.where(missing, 0, np.ma.getdata(values)).astype(float)
        matrix[missing, position] = np.nan
    return matrix


def is_missing(values: NDArray) -> NDArray[np.bool_]:
    """None, NaN, and what a masked array masks."""
    masked, data = np.ma.getmaskarray(values), np.ma.getdata(values)
    if data.dtype.kind == "O":
        return masked | np.array([value is None or value != value for value in data], dtype=bool)
    return masked | np.isnan(data) if data.dtype.kind == "f" else masked


def constant(features: Sequence[Feature], rate: float) -> TableModel:
    """The model that knows nothing but a rate: what is left where nothing can be fitted."""
    rate = min(max(rate, 1e-6), 1 - 1e-6)
    return TableModel(
        tuple(features),
        tuple(np.array([]) for _ in features),
        tuple(() for _ in features),
        float(np.log(rate / (1 - rate))),
        tuple(np.zeros(3 if feature.kind == "categorical" else 2) for feature in features),
        {},
    )


def assign(model: TableModel, columns: Columns) -> Ints:
    """The bin of each row and feature: (rows, features)."""
    matrix = encode(columns, model.features, model.categories)
    found = np.zeros(matrix.shape, dtype=np.int64)
    for position, feature in enumerate(model.features):
        values = matrix[:, position]
        if feature.kind == "categorical":
            number = np.where(np.isnan(values), -1, values).astype(np.int64)
        else:
            number = np.searchsorted(model.edges[position], values, side="left")
        found[:, position] = np.where(np.isnan(values), 0, number + 1)
    return found


def margin(model: TableModel, bins: Ints) -> Floats:
    """Log-odds of rows, given their bins."""
    total = np.full(len(bins), model.intercept)
    for position, scores in enumerate(model.scores):
        total += scores[bins[:, position]]
    for (a, b), scores in model.pairs.items():
        total += scores[bins[:, a], bins[:, b]]
    return total


def contributions(model: TableModel, bins: Ints) -> Floats:
    """What each feature adds to the intercept: (rows, features); a pair's score counts half for
    each of its features. Intercept + sum over features = margin. Meant for centred models."""
    parts = np.column_stack([scores[bins[:, i]] for i, scores in enumerate(model.scores)])
    for (a, b), scores in model.pairs.items():
        half = scores[bins[:, a], bins[:, b]] / 2
        parts[:, a] += half
        parts[:, b] += half
    return parts


def centred(model: TableModel, bins: Ints) -> TableModel:
    """The same function with pairs that hold only what their two features do not say alone.

    Every row and column of a pair, and every feature's scores, then average zero over the given
    rows (bins weigh as in them, as if features were independent; Lengerich et al. 2020), so that
    contributions compare with the average of such rows, which the intercept is.
    """
    weights = [
        np.bincount(bins[:, position], minlength=len(scores)) / max(1, len(bins))
        for position, scores in enumerate(model.scores)
    ]
    intercept, scores, pairs = model.intercept, [part.copy() for part in model.scores], {}
    for (a, b), table in model.pairs.items():
        of_a, of_b = table @ weights[b], weights[a] @ table
        middle = float(of_a @ weights[a])
        scores[a] += of_a - middle
        scores[b] += of_b - middle
        intercept += middle
        pairs[a, b] = table - of_a[:, None] - of_b[None, :] + middle
    for position, part in enumerate(scores):
        middle = float(part @ weights[position])
        part -= middle
        intercept += middle
    return replace(model, intercept=float(intercept), scores=tuple(scores), pairs=pairs)


def calibrated(model: TableModel, intercept: float, slope: float) -> TableModel:
    """The model whose margin is intercept + slope x margin: calibration is no step of its own."""
    return replace(
        model,
        intercept=intercept + slope * model.intercept,
        scores=tuple(slope * part for part in model.scores),
        pairs={pair: slope * table for pair, table in model.pairs.items()},
    )


BIN_COLUMNS = {
    "feature": "varchar",
    "feature_group": "varchar",
    "kind": "varchar",
    "bin": "bigint",
    "lower_edge": "double",
    "upper_edge": "double",
    "category": "varchar",
    "score": "double",
}
PAIR_COLUMNS = {
    "feature_a": "varchar",
    "bin_a": "bigint",
    "feature_b": "varchar",
    "bin_b": "bigint",
    "score": "double",
}


def bin_rows(model: TableModel) -> list[tuple]:
    """Rows of BIN_COLUMNS, one per feature and bin. Edges are NULL where a bin has none: what is
    missing, categories, and the open ends."""
    rows = []
    for position, feature in enumerate(model.features):
        edges = [None, *model.edges[position].tolist(), None]
        names = model.categories[position]
        for number, score in enumerate(model.scores[position].tolist()):
            lower = upper = category = None
            if feature.kind == "categorical":
                category = names[number - 1] if 1 <= number <= len(names) else None
            elif number:
                lower, upper = edges[number - 1], edges[number]
            row = (feature.name, feature.group, feature.kind, number, lower, upper, category, score)
            rows.append(row)
    return rows


def pair_rows(model: TableModel) -> list[tuple]:
    """Rows of PAIR_COLUMNS, one per pair of features and of their bins."""
    return [
        (model.features[a].name, first, model.features[b].name, second, score)
        for (a, b), table in model.pairs.items()
        for first, scores in enumerate(table.tolist())
        for second, score in enumerate(scores)
    ]


def from_rows(intercept: float, bins: Sequence[tuple], pairs: Sequence[tuple]) -> TableModel:
    """The model that bin_rows and pair_rows were made of, whatever the order of rows."""
    by_feature: dict[str, list[tuple]] = {}
    for row in sorted(bins, key=lambda row: (row[2] != "categorical", row[0], row[3])):
        by_feature.setdefault(row[0], []).append(row)
    features = tuple(Feature(name, rows[0][2], rows[0][1]) for name, rows in by_feature.items())
    position = {feature.name: number for number, feature in enumerate(features)}
    scores = tuple(np.array([row[7] for row in rows]) for rows in by_feature.values())
    tables: dict[tuple[int, int], Floats] = {}
    for feature_a, bin_a, feature_b, bin_b, score in sorted(pairs, key=lambda row: row[:4]):
        (a, first), (b, second) = sorted(
            [(position[feature_a], bin_a), (position[feature_b], bin_b)]
        )
        if (a, b) not in tables:
            tables[a, b] = np.zeros((len(scores[a]), len(scores[b])))
        tables[a, b][first, second] = score
    return TableModel(
        features,
        tuple(
            np.array([row[5] for row in rows if row[5] is not None], dtype=float)
            for rows in by_feature.values()
        ),
        tuple(tuple(row[6] for row in rows if row[6] is not None) for rows in by_feature.values()),
        intercept,
        scores,
        tables,
    )
