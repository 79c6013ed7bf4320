"""Can a model tell a batch from its reference? The out-of-fold ROC-AUC: 0.5 if nothing moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import PredefinedSplit, StratifiedKFold, cross_val_predict

Floats = NDArray[np.float64]
FOLDS = 3
# with fewer rows on either side a fold holds too few to learn from
LEAST_ROWS = 60


@dataclass(frozen=True)
class Told:
    """ROC-AUC of batch against reference, with its interval, and the rows it was measured on."""

    auc: float
    lo: float
    hi: float
    rows: int


def tell_apart(
    reference: Floats, batch: Floats, *, confidence: float, random_state: int
) -> Told | None:
    """Out-of-fold ROC-AUC of a forest; NaN is no value. None below LEAST_ROWS rows.

    The interval is that of Hanley and McNeil (1982), for the scores as they are: what other folds
    or another sample would have learnt is not in it.
    """
    least = min(len(reference), len(batch))
    if least < LEAST_ROWS:
        return None
    values = np.concatenate([reference, batch])
    is_batch = np.r_[np.zeros(len(reference)), np.ones(len(batch))]
    # no value is a value of its own, below all others
    values = np.where(np.isnan(values), np.nanmin(values, initial=0.0) - 1, values)
    model = ExtraTreesClassifier(
        n_estimators=60,
        max_depth=10,
        min_samples_leaf=5,
        max_features=0.5,
        random_state=random_state,
    )
    folds = PredefinedSplit(_folds(values, is_batch, random_state))
    scores = cross_val_predict(model, values, is_batch, cv=folds, method="predict_proba")[:, 1]
    auc = float(roc_auc_score(is_batch, scores))
    reach = float(norm.ppf(0.5 + confidence / 2)) * _error(auc, len(batch), len(reference))
    return Told(auc, max(0.0, auc - reach), min(1.0, auc + reach), len(values))


def _folds(values: Floats, is_batch: Floats, random_state: int) -> NDArray[np.int64]:
    """The fold of each row; equal rows of the two sides, pair by pair, are in the same.

    Else a model that has seen one calls the other by its side: the ROC-AUC falls below 0.5.
    """
    content = np.unique(values, axis=0, return_inverse=True)[1].ravel()
    side = is_batch.astype(np.int64)
    order = np.lexsort((content, side))
    starts = np.r_[True, np.diff(content[order]) != 0] | np.r_[True, np.diff(side[order]) != 0]
    place = np.arange(len(order))
    nth = np.empty_like(place)
    nth[order] = place - np.maximum.accumulate(np.where(starts, place, 0))
    key = content * len(values) + nth
    _, first, pair = np.unique(key, return_index=True, return_inverse=True)
    # the reference comes first in `values`: a pair stands where its row of the reference does
    twin = np.isin(key[side == 0], key[side == 1])
    strata = np.r_[np.where(twin, 2, 0), np.ones(int(side.sum()), dtype=np.int64)]
    drawn = np.sort(first)
    counts = np.bincount(strata[drawn], minlength=3)
    for few in np.flatnonzero(counts < FOLDS):
        strata[strata == few] = counts.argmax()
    split = StratifiedKFold(FOLDS, shuffle=True, random_state=random_state)
    fold = np.zeros(len(values), dtype=np.int64)
    for number, (_, held) in enumerate(split.split(drawn, strata[drawn])):
        fold[drawn[held]] = number
    return fold[first[pair.ravel()]]


def matrix(columns: Mapping[str, NDArray], names: Sequence[str]) -> Floats:
    """Columns as numbers, texts as the place of the value in the alphabet, NULL as NaN."""
    return np.column_stack([_numbers(columns[name]) for name in names])


def _numbers(column: NDArray) -> Floats:
    known = ~np.ma.getmaskarray(column)
    values = np.ma.getdata(column)
    numbers = np.full(len(values), np.nan)
    if values.dtype.kind in "biuf":
        numbers[known] = values[known]
        return numbers
    known &= np.array([value is not None for value in values], dtype=bool)
    if known.any():
        numbers[known] = np.unique(values[known].astype(str), return_inverse=True)[1]
    return numbers


def _error(auc: float, positives: int, negatives: int) -> float:
    """Standard error of a ROC-AUC (Hanley and McNeil 1982)."""
    both = auc / (2 - auc) - auc * auc
    same = 2 * auc * auc / (1 + auc) - auc * auc
    variance = auc * (1 - auc) + (positives - 1) * both + (negatives - 1) * same
    return float(np.sqrt(max(variance, 0.0) / (positives * negatives)))


def batches(
    columns: Mapping[str, NDArray],
    names: Sequence[str],
    *,
    confidence: float,
    random_state: int,
) -> list[dict]:
    """One row per batch of lines with `week_source`, `batch` and `part` (batch or reference)."""
    values = matrix(columns, names)
    keys = list(zip(columns["week_source"], columns["batch"], strict=True))
    is_batch = np.array([part == "batch" for part in columns["part"]], dtype=bool)
    found = []
    for source, batch in sorted(set(keys)):
        mine = np.array([key == (source, batch) for key in keys], dtype=bool)
        told = tell_apart(
            values[mine & ~is_batch],
            values[mine & is_batch],
            confidence=confidence,
            random_state=random_state,
        )
        if told:
            row = {"auc": told.auc, "auc_lo": told.lo, "auc_hi": told.hi, "lines": told.rows}
            found.append({"source": str(source), "batch": str(batch), **row})
    return found
