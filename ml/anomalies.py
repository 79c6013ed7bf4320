"""Orders unlike the others: an isolation forest, and whether it finds more than a rule does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

Floats = NDArray[np.float64]

# what is asked of an order; amounts and counts on a log scale, what is missing is -1
FEATURES = (
    "order_lines",
    "units",
    "value",
    "largest_quantity",
    "variants",
    "discount_share",
    "price_to_category",
    "customer_orders_before",
)
# kinds of injected orders: which features are multiplied, and by what
INJECTED = {
    "bracket": {"order_lines": 3, "variants": 4, "units": 3},
    "bulk": {"units": 12, "largest_quantity": 12, "value": 12},
    "dear": {"value": 8, "price_to_category": 8},
}
BATCH = 50_000


@dataclass(frozen=True)
class Found:
    """Scores of the orders in 0..1 (high is unlike the others), the feature that is furthest from
    its median with its value and that median, and the figures of the injected cases: precision of
    the forest and of the rule at the same number of flagged orders."""

    scores: Floats
    strangest: NDArray[np.int64]
    values: Floats
    medians: Floats
    forest_precision: float
    rule_precision: float
    injected: int

    def rows(self, keys: Sequence[str]) -> Iterator[dict]:
        """One per order."""
        for key, score, at, value in zip(
            keys, self.scores, self.strangest, self.values, strict=True
        ):
            yield {
                "order_id": str(key),
                "anomaly_score": float(score),
                "strangest": FEATURES[at],
                "value": float(value),
                "usual": float(self.medians[at]),
                "forest_precision": self.forest_precision,
                "rule_precision": self.rule_precision,
                "injected": self.injected,
            }


def matrix(columns: Mapping[str, NDArray]) -> Floats:
    """Rows of FEATURES."""
    return np.column_stack(
        [np.ma.filled(np.ma.asarray(columns[name], dtype=float), -1.0) for name in FEATURES]
    )


def find(orders: Floats, *, sample: int, random_state: int) -> Found:
    """Fit on at most `sample` orders, every n-th, and score all of them in batches.

    The rule flags orders with several variants of a product. Injected cases are copies of every
    n-th order, one in a hundred of each kind; the model is fitted without them.
    """
    step = max(1, len(orders) // sample)
    forest = IsolationForest(n_estimators=50, max_samples=256, random_state=random_state)
    forest.fit(_scaled(orders[::step][:sample]))
    scores = _score(forest, orders)
    medians = np.median(orders, axis=0)
    spread = np.std(_scaled(orders), axis=0)
    away = np.abs(_scaled(orders) - _scaled(medians[None, :])) / np.where(spread > 0, spread, 1.0)

    cases = _injected(orders)
    everything = np.concatenate([orders, cases])
    is_case = np.arange(len(everything)) >= len(orders)
    by_rule = everything[:, FEATURES.index("variants")] > 1
    flagged = max(1, int(by_rule.sum()))
    said = np.concatenate([scores, _score(forest, cases)])
    by_forest = np.argsort(-said, kind="stable")[:flagged]
    strangest = np.argmax(away, axis=1)
    return Found(
        scores=scores,
        strangest=strangest,
        values=orders[np.arange(len(orders)), strangest],
        medians=medians,
        forest_precision=float(is_case[by_forest].mean()),
        rule_precision=float(is_case[by_rule].mean()) if by_rule.any() else 0.0,
        injected=int(is_case.sum()),
    )


def _injected(orders: Floats) -> Floats:
    """One order in a hundred per kind, changed as INJECTED says."""
    found = []
    for number, factors in enumerate(INJECTED.values()):
        copies = orders[number::100].copy()
        for name, factor in factors.items():
            at = FEATURES.index(name)
            copies[:, at] = np.maximum(copies[:, at], 1.0) * factor
        found.append(copies)
    return np.concatenate(found)


def _scaled(orders: Floats) -> Floats:
    return np.log1p(np.maximum(orders, -0.5))


def _score(forest: IsolationForest, orders: Floats) -> Floats:
    parts = [
        -forest.score_samples(_scaled(orders[start : start + BATCH]))
        for start in range(0, len(orders), BATCH)
    ]
    return np.concatenate(parts) if parts else np.array([])
