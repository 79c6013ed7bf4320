"""The SQL that scores with a table model: the same numbers as `table_model.margin`.

Bins are CASE expressions over the edges, scores are lists of literals that a bin, or a pair of
bins, points into. Joining the two tables gives the same in SQL that every engine reads, slower
(`python -m benchmarks.scoring`).
"""

import re
from collections.abc import Iterator

import numpy as np

from ml.table_model import Floats, TableModel


def score_query(model: TableModel, *, features: str, keys: str, where: str = "true") -> str:
    """One row per row of the relation `features`: its keys and `margin`, the log-odds.

    Keys (a list `a, b as c` in SQL) and where (a condition) are of columns of that relation.
    """
    margin = " + ".join([_number(model.intercept), *_looked_up(_folded(model))])
    return _query(model, f", {margin} as margin", features, keys, where)


def contribution_query(model: TableModel, *, features: str, keys: str, where: str = "true") -> str:
    """The same with a column per feature that has a say, named as the feature: what it adds to the
    intercept. A pair's score counts half for each of its features."""
    parts: dict[int, list[tuple[tuple[int, ...], Floats]]] = {}
    for positions, table in _lookups(model):
        for position in positions:
            parts.setdefault(position, []).append((positions, table / len(positions)))
    columns = "".join(
        f", {' + '.join(_lookup(model, *part) for part in parts[position])}"
        f" as {_name(model.features[position].name)}"
        for position in sorted(parts)
    )
    return _query(model, columns, features, keys, where)


def _query(model: TableModel, columns: str, features: str, keys: str, where: str) -> str:
    names = ", ".join(_last_word(key) for key in keys.split(", "))
    return (
        f"select {names}{columns} from"
        f" (select {keys}{_bins(model)} from {features} where {where}) as binned"
    )


def _last_word(key: str) -> str:
    """The name of a key: order_line_id; model_version of `'a' as model_version`."""
    return key.split()[-1]


def _lookups(model: TableModel) -> Iterator[tuple[tuple[int, ...], Floats]]:
    """Positions of features, and the scores of their bins; nothing for features without a say."""
    for position, scores in enumerate(model.scores):
        if np.any(scores):
            yield (position,), scores
    yield from model.pairs.items()


def _folded(model: TableModel) -> TableModel:
    """The same function with fewer lookups: scores of a feature are added to its first pair."""
    scores, pairs = list(model.scores), {}
    for (a, b), table in model.pairs.items():
        pairs[a, b] = table + scores[a][:, None] + scores[b][None, :]
        scores[a], scores[b] = np.zeros_like(scores[a]), np.zeros_like(scores[b])
    return TableModel(
        model.features, model.edges, model.categories, model.intercept, tuple(scores), pairs
    )


def _looked_up(model: TableModel) -> list[str]:
    return [_lookup(model, *lookup) for lookup in _lookups(model)]


def _lookup(model: TableModel, positions: tuple[int, ...], table: Floats) -> str:
    place = _bin_name(model, positions[0])
    if len(positions) == 2:
        place = f"{place} * {table.shape[1]} + {_bin_name(model, positions[1])}"
    return f"[{', '.join(map(_number, table.ravel()))}][{place} + 1]"


def _bins(model: TableModel) -> str:
    """A column per feature that has a say."""
    used = sorted({position for positions, _ in _lookups(model) for position in positions})
    return "".join(
        f", {_bin(model, position)} as {_bin_name(model, position)}" for position in used
    )


def _bin(model: TableModel, position: int) -> str:
    name = _name(model.features[position].name)
    categories = model.categories[position]
    if model.features[position].kind == "categorical":
        known = " ".join(
            f"when {text(category)} then {number}"
            for number, category in enumerate(categories, start=1)
        )
        other = f"case when {name} is null then 0 else {len(categories) + 1} end"
        return f"case {name} {known} else {other} end" if known else other
    edges = [*map(_number, model.edges[position]), "cast('infinity' as double)"]
    intervals = " ".join(
        f"when cast({name} as double) <= {edge} then {number}"
        for number, edge in enumerate(edges, start=1)
    )
    # neither NULL nor NaN, which is beyond infinity, is in any interval
    return f"case {intervals} else 0 end"


def _bin_name(model: TableModel, position: int) -> str:
    return f"{_name(model.features[position].name)}__bin"


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        raise ValueError(
            f"{name!r} is no name of a feature: lower-case letters, digits and _ only."
        )
    return name


def _number(value: float) -> str:
    """A literal of type double that is read back bit by bit; without an exponent it is a decimal,
    which is many times slower."""
    text = repr(float(value))
    return text if "e" in text else f"{text}e0"


def text(value: str) -> str:
    """A literal that no content can break out of."""
    return "'" + value.replace("'", "''") + "'"
