"""How far models of returns can be trusted: what they lean on, and whether anything leaks.

A model leaks if it knows what was not known when the line was ordered. Nothing here proves that it
does not; each check is one that a common leak fails.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ml import boosting, evaluation, table_model
from ml.boosting import Settings
from ml.evaluation import Records
from ml.table_model import Columns, Feature, Floats, Ints, TableModel

REPEATS = 3  # permutations per feature
PERMUTATIONS = 3  # of the outcomes
CHECK_ROWS = 6000  # lines that the models of a check learn from: what leaks is in the features
CHECK_TREES = 20
QUANTILES = 20  # bins of one feature looked at alone
BIN_PRIOR = 10  # lines that hold the rate of a bin at that of all
FLIPPED = 0.05  # share of outcomes that the planted feature gets wrong


class Lines(Protocol):
    """Columns of features, labels of 1 and 0, and what tells rows apart."""

    columns: Columns
    label: Ints
    key: NDArray


def describe_test(
    records: Records,
    kind: str,
    label: Ints,
    probability: Floats,
    *,
    threshold: float,
    z: float,
    **where: object,
) -> None:
    """Calibration and confusion of one model on what it was tested on."""
    for bin in evaluation.calibration(label, probability, z=z):
        place = {"slice_type": "bin", "slice_id": str(bin.number), "n": bin.n, **where}
        records.add("calibration", kind, "predicted", value=bin.predicted, **place)
        records.add(
            *("calibration", kind, "observed"), value=bin.observed, lo=bin.lo, hi=bin.hi, **place
        )
    for name, count in evaluation.confusion(label, probability, threshold).items():
        # lo holds the threshold
        place = {"slice_type": "all", "slice_id": "all", "n": len(label), **where}
        records.add("confusion", kind, name, value=count, lo=threshold, **place)


def auc_gain(label: Ints, score: Floats, other: Floats) -> tuple[float, float]:
    """ROC-AUC of a score less that of another on the same rows, and its variance (DeLong 1988)."""
    placed = zip(_placed(label, score), _placed(label, other), strict=True)
    return _gained([one - two for one, two in placed])


def _gained(differences: Sequence[Floats]) -> tuple[float, float]:
    variance = sum(part.var(ddof=1) / len(part) if len(part) > 1 else 0.25 for part in differences)
    return float(differences[0].mean()), float(variance)


def _placed(label: Ints, score: Floats) -> tuple[Floats, Floats]:
    """Of each positive the share of negatives below it, of each negative that of positives above;
    ties count half."""
    positive, negative = score[label == 1], score[label == 0]
    below = evaluation.share_below(np.sort(negative), positive)
    above = 1 - evaluation.share_below(np.sort(positive), negative)
    return below, above


def importance(
    records: Records,
    model: TableModel,
    bins: Ints,
    label: Ints,
    *,
    z: float,
    random_state: int,
    **where: object,
) -> None:
    """Loss of ROC-AUC per feature when its values are shuffled among the tested lines.

    The interval holds both what other lines and what other shuffles would give.
    """
    rng = np.random.default_rng(random_state)
    score = table_model.margin(model, bins)
    placed = _placed(label, score)
    has_say = {position for position, scores in enumerate(model.scores) if scores.any()}
    has_say |= {position for pair in model.pairs for position in pair}
    shuffled = bins.copy()
    for position, feature in enumerate(model.features):
        found = [(0.0, 0.0)] * REPEATS  # what has no say loses nothing
        for repeat in range(REPEATS):
            drawn = rng.permutation(bins[:, position])
            if position in has_say:
                shuffled[:, position] = drawn
                other = _placed(label, table_model.margin(model, shuffled))
                found[repeat] = _gained([one - two for one, two in zip(placed, other, strict=True)])
        shuffled[:, position] = bins[:, position]
        lost, variances = np.array(found).T
        half = z * np.sqrt(variances.mean() + lost.var(ddof=1) / REPEATS)
        records.add(
            *("importance", "table", feature.name),
            value=lost.mean(),
            lo=lost.mean() - half,
            hi=lost.mean() + half,
            n=len(label),
            detail=str(REPEATS),
            **where,
        )


@evaluation.on_one_thread
def leak_checks(
    records: Records,
    fit_on: Lines,
    test: Lines,
    features: Sequence[Feature],
    *,
    settings: Settings,
    z: float,
    random_state: int,
    **where: object,
) -> None:
    """What can be found out from the lines that a model was fitted on and those it was tested on.

    alone: ROC-AUC of each feature by itself, out of time. Leaks: the largest of them; the same of a
    feature that was made of the outcome, which has to stand out; a model that learnt from shuffled
    outcomes; a model tested on random lines less one tested on later ones.
    """
    features = boosting.in_order(features)
    categories = boosting.frequent_categories(fit_on.columns, features, settings)
    orders = [np.argsort(lines.key, kind="stable") for lines in (fit_on, test)]
    early, late = (
        table_model.encode(lines.columns, features, categories)[order]
        for lines, order in zip((fit_on, test), orders, strict=True)
    )
    label, tested = fit_on.label[orders[0]], test.label[orders[1]]
    rng = np.random.default_rng(random_state)

    areas = {
        feature.name: area_alone(
            early[:, position], label, late[:, position], tested, feature.kind == "categorical"
        )
        for position, feature in enumerate(features)
    }
    for name, (area, variance) in areas.items():
        half = z * np.sqrt(variance)
        records.add(
            *("alone", "table", name),
            value=area,
            lo=max(0.0, area - half),
            hi=min(1.0, area + half),
            n=len(tested),
            **where,
        )
    strongest = max(sorted(areas), key=lambda name: areas[name][0])
    records.add(
        *("leak", "features", "single_feature"),
        value=areas[strongest][0],
        n=len(tested),
        detail=strongest,
        **where,
    )
    planted = [_planted(part, rng) for part in (label, tested)]
    records.add(
        *("leak", "planted", "planted_leak"),
        value=area_alone(planted[0], label, planted[1], tested, False)[0],
        n=len(tested),
        **where,
    )
    if min(label.sum(), len(label) - label.sum()) < 2 * settings.min_leaf_rows:
        return

    def area(matrix: Floats, outcome: Ints, later: Floats, came: Ints) -> float:
        """Of a small model that learns from some lines and is tested on others."""
        chosen = np.sort(rng.permutation(len(outcome))[:CHECK_ROWS])
        if not 0 < outcome[chosen].sum() < len(chosen):
            return 0.5
        trees = _small_trees(features, settings, random_state)
        trees.fit(np.where(np.isnan(matrix).all(axis=0), 0.0, matrix)[chosen], outcome[chosen])
        return evaluation.roc_auc(came, trees.decision_function(later))[0]

    # a line that stands in both parts has one outcome, so that it would be found out
    _, first, place = np.unique(
        np.concatenate([fit_on.key[orders[0]], test.key[orders[1]]]),
        return_index=True,
        return_inverse=True,
    )
    both, outcomes = np.concatenate([early, late]), np.concatenate([label, tested])
    found = []
    for _ in range(PERMUTATIONS):
        shuffled = rng.permutation(outcomes[first])[place]
        found.append(area(early, shuffled[: len(label)], late, shuffled[len(label) :]))
    records.add(
        *("leak", "table", "permuted_labels"),
        value=np.mean(found),
        n=len(tested) * PERMUTATIONS,
        detail=f"mean of {PERMUTATIONS} permutations",
        **where,
    )
    order = rng.permutation(len(both))
    of_random, of_later = np.sort(order[: len(late)]), np.sort(order[len(late) :])
    gap = area(both[of_later], outcomes[of_later], both[of_random], outcomes[of_random])
    gap -= area(early, label, late, tested)
    records.add(*("leak", "table", "random_minus_time"), value=gap, n=len(tested), **where)


def _small_trees(features: Sequence[Feature], settings: Settings, random_state: int) -> object:
    """Trees like those of the model, fewer of them and with any pair in a path."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=CHECK_TREES,
        learning_rate=settings.learning_rate,
        max_depth=2,
        max_bins=settings.max_bins,
        min_samples_leaf=settings.min_leaf_rows,
        categorical_features=[feature.kind == "categorical" for feature in features],
        early_stopping=False,
        random_state=random_state,
    )


def _planted(label: Ints, rng: np.random.Generator) -> Floats:
    """A feature that knows the outcome, but for some noise."""
    wrong = rng.random(len(label)) < FLIPPED
    return np.where(wrong, 1 - label, label) + rng.random(len(label))


def area_alone(
    values: Floats, label: Ints, later: Floats, came: Ints, is_categorical: bool
) -> tuple[float, float]:
    """ROC-AUC of one feature on later lines, and its variance: by the rate of each of its bins on
    earlier lines, which finds any shape, or by its own order, whichever says more."""
    numbers = later
    if not is_categorical:
        known = values[~np.isnan(values)]
        edges = (
            np.unique(np.quantile(known, np.linspace(0, 1, QUANTILES + 1)[1:-1]))
            if len(known)
            else np.array([])
        )
        values, later = (
            np.where(np.isnan(part), np.nan, np.searchsorted(edges, part))
            for part in (values, later)
        )
    codes, place = np.unique(
        np.nan_to_num(np.concatenate([values, later]), nan=-1), return_inverse=True
    )
    early, late = place[: len(values)], place[len(values) :]
    counts = np.bincount(early, minlength=len(codes))
    rates = (np.bincount(early, label, len(codes)) + BIN_PRIOR * label.mean()) / (
        counts + BIN_PRIOR
    )
    found = [evaluation.roc_auc(came, rates[late])]
    if not is_categorical:
        order = np.where(np.isnan(numbers), -np.inf, numbers)
        found += [evaluation.roc_auc(came, sign * order) for sign in (1, -1)]
    return max(found)


def signal(metrics: Mapping[str, evaluation.Metric], least: float) -> tuple[bool, str | None]:
    """Whether a model ranks better than chance out of time, and if not, in words."""
    area = metrics.get("roc_auc")
    if area is None:
        return False, "no signal: only one outcome came, so nothing could be told apart"
    if area.lo > least:
        return True, None
    return False, (
        f"no signal: out of time the ROC-AUC is {area.value:.3f} ({area.lo:.3f} to {area.hi:.3f}),"
        f" whose interval does not lie above {least:.3f}; scores say no more than the average"
    )
