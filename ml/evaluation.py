"""How good probabilities are: metrics with intervals, calibration, and rows for a table.

Labels are 0 or 1, probabilities and scores real; all arrays have one length. Intervals are of the
normal quantile `z`. Rows that repeat the same people count less: `design` is the number of rows per
person, by which every variance is multiplied.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BUDGETS = (5, 10, 20)  # percent of people that can be acted on, for lift


@dataclass(frozen=True)
class Metric:
    """One number, its interval (None where it has none) and the rows it rests on."""

    name: str
    value: float
    lo: float | None
    hi: float | None
    n: int


def wilson(successes: float, n: float, z: float, design: float = 1.0) -> tuple[float, float]:
    """Interval of a share (Wilson 1927); the whole range without observations."""
    if n <= 0:
        return 0.0, 1.0
    share, n = successes / n, n / design
    middle = share + z * z / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    whole = 1 + z * z / n
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def roc_auc(label: Ints, score: Floats) -> tuple[float, float]:
    """Area under the ROC curve and its variance (DeLong 1988); ties count half."""
    positive, negative = np.sort(score[label == 1]), np.sort(score[label == 0])
    below = share_below(negative, positive)  # of negatives below each positive
    above = 1 - share_below(positive, negative)  # of positives above each negative
    variance = sum(
        part.var(ddof=1) / len(part) if len(part) > 1 else 0.25 for part in (below, above)
    )
    return float(below.mean()), float(variance)


def share_below(values: Floats, points: Floats) -> Floats:
    """Of sorted values the share below each point; what is equal counts half."""
    return (np.searchsorted(values, points, "left") + np.searchsorted(values, points, "right")) / (
        2 * len(values)
    )


def average_precision(label: Ints, score: Floats, weights: Floats | None = None) -> Floats:
    """Area under the precision-recall curve, without interpolation; equal scores enter together.

    `weights` of shape (resamples, n) gives one area per resample, else an array of one.
    """
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    weights = np.ones((1, len(score))) if weights is None else weights
    ordered = weights[:, order]
    taken = np.cumsum(ordered, axis=1)[:, last_of_ties]
    hits = np.cumsum(ordered * label[order], axis=1)[:, last_of_ties]
    precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
    gained = np.diff(hits, axis=1, prepend=0)
    return (precision * gained).sum(axis=1) / np.maximum(hits[:, -1], 1e-12)


def resampled_weights(group: Ints, draws: int, random_state: int) -> Floats:
    """How often each row is drawn when whole groups are drawn with replacement: (draws, n)."""
    rng = np.random.default_rng(random_state)
    members, index = np.unique(group, return_inverse=True)
    counts = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=draws)
    return counts[:, index].astype(float)


def confusion(label: Ints, probability: Floats, threshold: float) -> dict[str, int]:
    """Counts of what is said (at least `threshold` is yes) against what is."""
    said = probability >= threshold
    return {
        "true_positives": int(np.sum(said & (label == 1))),
        "false_positives": int(np.sum(said & (label == 0))),
        "true_negatives": int(np.sum(~said & (label == 0))),
        "false_negatives": int(np.sum(~said & (label == 1))),
    }


def metrics(
    label: Ints, probability: Floats, *, threshold: float, z: float, design: float = 1.0
) -> list[Metric]:
    """All metrics of one set of rows; ranking metrics only where both classes occur."""
    n, positives = len(label), int(label.sum())
    counts = confusion(label, probability, threshold)
    true, false = counts["true_positives"], counts["false_positives"]
    missed, right = counts["false_negatives"], true + counts["true_negatives"]
    found = [
        Metric("base_rate", positives / n, *wilson(positives, n, z, design), n),
        Metric("accuracy", right / n, *wilson(right, n, z, design), n),
    ]
    if true + false:
        interval = wilson(true, true + false, z, design)
        found.append(Metric("precision", true / (true + false), *interval, true + false))
    if positives:
        found.append(Metric("recall", true / positives, *wilson(true, positives, z, design), n))
        # 2j / (1 + j) of the share j of hits among all that was said or is
        named = true + false + missed
        lo, hi = (2 * share / (1 + share) for share in wilson(true, named, z, design))
        found.append(Metric("f1", 2 * true / (2 * true + false + missed), lo, hi, named))
    clipped = np.clip(probability, 1e-12, 1 - 1e-12)
    losses = {
        "brier": (probability - label) ** 2,
        "log_loss": -np.where(label == 1, np.log(clipped), np.log(1 - clipped)),
    }
    for name, loss in losses.items():
        half = z * loss.std() * np.sqrt(design / n)
        found.append(Metric(name, loss.mean(), loss.mean() - half, loss.mean() + half, n))
    bins = calibration(label, probability, z=z)
    error = sum(bin.n * abs(bin.predicted - bin.observed) for bin in bins) / n
    found.append(Metric("calibration_error", error, None, None, n))
    if 0 < positives < n:
        area, variance = roc_auc(label, probability)
        half = z * np.sqrt(variance * design)
        found.append(Metric("roc_auc", area, max(0.0, area - half), min(1.0, area + half), n))
        area = float(average_precision(label, probability)[0])
        found.append(Metric("pr_auc", area, *_logit_interval(area, positives / design, z), n))
        for budget in BUDGETS:
            hits, taken = _hits(label, probability, budget / 100)
            lo, hi = (share * n / positives for share in wilson(hits, taken, z, design))
            lift = hits / taken * n / positives
            found.append(Metric(f"lift_{budget}", lift, lo, hi, int(np.ceil(taken))))
    return found


def _hits(label: Ints, score: Floats, share: float) -> tuple[float, float]:
    """Positives among the highest scores; of equal ones at the edge their average counts."""
    taken = max(1.0, share * len(label))
    edge = np.sort(score)[::-1][int(np.ceil(taken)) - 1]
    above, equal = score > edge, score == edge
    rest = taken - above.sum()
    return float(label[above].sum() + rest * label[equal].mean()), taken


def _logit_interval(area: float, positives: float, z: float) -> tuple[float, float]:
    """Interval of an average precision (Boyd, Eng, Page 2013)."""
    area = min(max(area, 1e-9), 1 - 1e-9)
    middle, half = np.log(area / (1 - area)), z / np.sqrt(positives * area * (1 - area))
    return tuple(float(1 / (1 + np.exp(-(middle + sign * half)))) for sign in (-1, 1))


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability table."""

    number: int
    n: int
    predicted: float
    observed: float
    lo: float
    hi: float


def calibration(
    label: Ints, probability: Floats, *, z: float, bins: int = 10, design: float = 1.0
) -> list[Bin]:
    """Predicted against observed in bins of equal counts; equal probabilities share a bin."""
    ranks = np.searchsorted(np.sort(probability), probability, "left")
    number = ranks * bins // len(label)
    found = []
    for position, chosen in enumerate(np.unique(number), start=1):
        inside = number == chosen
        n, hits = int(inside.sum()), int(label[inside].sum())
        interval = wilson(hits, n, z, design)
        found.append(Bin(position, n, probability[inside].mean(), hits / n, *interval))
    return found


def fit_sigmoid(score: Floats, label: Ints) -> tuple[float, float]:
    """Intercept and slope of a probability over a score (Platt 1999), by Newton's method.

    The weakest ridge keeps the slope finite where a score separates the classes.
    """
    centre, scale = score.mean(), score.std() or 1.0
    design = np.column_stack([np.ones(len(score)), (score - centre) / scale])
    weights = np.zeros(2)
    for _ in range(50):
        probability = sigmoid(design @ weights)
        gradient = design.T @ (label - probability) - 1e-3 * weights
        hessian = (design * (probability * (1 - probability))[:, None]).T @ design
        step = np.linalg.solve(hessian + 1e-3 * np.eye(2), gradient)
        weights = weights + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-10:
            break
    slope = weights[1] / scale
    return float(weights[0] - slope * centre), float(slope)


def sigmoid(score: Floats) -> Floats:
    """1 / (1 + exp(-score)), without overflow."""
    return 1 / (1 + np.exp(-np.clip(score, -700, 700)))


def logit(probability: Floats) -> Floats:
    """Log-odds, bounded at one in a million."""
    clipped = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def on_one_thread(function: Callable) -> Callable:
    """On one core: the matrices are small, and the last bit must not depend on how many."""

    @wraps(function)
    def limited(*args, **kwargs):
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return function(*args, **kwargs)

    return limited


# what a Python model writes: one row per thing found
RECORD = {
    "source": "varchar",
    "record": "varchar",
    "model": "varchar",
    "trained_on": "date",
    "tested_on": "date",
    "slice_type": "varchar",
    "slice_id": "varchar",
    "name": "varchar",
    "value": "double",
    "lo": "double",
    "hi": "double",
    "n": "bigint",
    "detail": "varchar",
}


class Records:
    """Rows of RECORD and further columns, collected one at a time; what is not given is None."""

    def __init__(self, further: Sequence[str] = ()) -> None:
        self.names = (*RECORD, *further)
        self.rows: list[dict] = []

    def add(self, record: str, model: str, name: str, **values: object) -> None:
        unknown = values.keys() - set(self.names)
        if unknown:
            raise TypeError(f"no such column of a record: {sorted(unknown)}")
        for key in ("value", "lo", "hi"):
            if values.get(key) is not None:
                values[key] = float(values[key])
        self.rows.append({"record": record, "model": model, "name": name} | values)

    def add_metrics(self, record: str, model: str, found: Sequence[Metric], **values) -> None:
        for metric in found:
            self.add(
                record,
                model,
                metric.name,
                value=metric.value,
                lo=metric.lo,
                hi=metric.hi,
                n=metric.n,
                **values,
            )

    def as_json(self, source: str) -> str:
        """One JSON array of the rows, what is None left out.

        DuckDB reads it a hundred times faster than a list of Python values, of each of which it
        asks whether it is one of a library that is not installed.
        """
        filled = (
            {key: value for key, value in row.items() if value is not None} for row in self.rows
        )
        return json.dumps([{"source": source} | row for row in filled], default=str)
