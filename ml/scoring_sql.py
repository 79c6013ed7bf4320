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


def reasons_query(
    model: TableModel, *, features: str, keys: str, where: str = "true", top: int = 3
) -> str:
    """The groups of features that speak most for a return: up to `top` rows per row of `features`.

    Columns: the keys, `rank` (from 1), `feature_group`, its `contribution` in log-odds (above 0),
    the `feature` that says most in it, with its `feature_contribution` and what it was
    (`numeric_value` or `text_value`); and of the whole row `base` (the intercept), `rest` (what the
    features say that are not in the rows) and `listed` (what the rows say together):
    base + listed + rest is the margin. No key may be called as a feature is.
    """
    used = sorted({position for positions, _ in _lookups(model) for position in positions})
    if not used:
        nothing = (
            "1 as rank, '' as feature_group, 0e0 as contribution, '' as feature,"
            " 0e0 as feature_contribution, 0e0 as numeric_value, '' as text_value,"
            " 0e0 as base, 0e0 as rest, 0e0 as listed"
        )
        return f"select {keys}, {nothing} from {features} where false"
    groups: dict[str, list[str]] = {}
    values = []
    for position in used:
        feature = model.features[position]
        name = _name(feature.name)
        is_text = feature.kind == "categorical"
        values.append(f"{name} as {name}__value")
        groups.setdefault(feature.group, []).append(
            f"{{'feature_contribution': {name}, 'feature': {text(name)}, 'numeric_value':"
            f" {'null' if is_text else f'cast({name}__value as double)'}, 'text_value':"
            f" {f'cast({name}__value as varchar)' if is_text else 'null'}}}"
        )
    named = {
        group: [_name(model.features[p].name) for p in used if model.features[p].group == group]
        for group in groups
    }
    said = ", ".join(
        f"{{'contribution': {' + '.join(named[group])}, 'feature_group': {text(group)},"
        f" 'best': list_reverse_sort([{', '.join(parts)}])[1]}}"
        for group, parts in groups.items()
    )
    whole = " + ".join(name for names in named.values() for name in names)
    inner = contribution_query(
        model, features=features, keys=", ".join([keys, *values]), where=where
    )
    names = ", ".join(_last_word(key) for key in keys.split(", "))
    listed = " + ".join(
        f"greatest(coalesce(reasons[{place}].contribution, 0e0), 0e0)"
        for place in range(1, top + 1)
    )
    return (
        f"select {names}, rank, reason.feature_group, reason.contribution, reason.best.feature,"
        " reason.best.feature_contribution, reason.best.numeric_value, reason.best.text_value,"
        f" {_number(model.intercept)} as base, whole - listed as rest, listed"
        f" from (select {names}, whole, listed, unnest(reasons[1:{top}]) as reason,"
        f" unnest(range(1, {top + 1})) as rank"
        f" from (select *, {listed} as listed"
        f" from (select {names}, {whole} as whole, list_reverse_sort([{said}]) as reasons"
        f" from ({inner}) as said) as sorted) as summed) as listed_ones"
        " where reason.contribution > 0"
    )


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
