"""What the table model is compared with: rates, logistic regression, forest, unrestricted boosting.

Each learns from the same lines and is calibrated on the same later ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ml import boosting, evaluation, table_model
from ml.boosting import Settings
from ml.table_model import Columns, Feature, Floats, Ints


class Lines(Protocol):
    """Columns of features, labels of 1 and 0, and what tells rows apart."""

    columns: Columns
    label: Ints
    key: NDArray


@dataclass(frozen=True)
class Rival:
    """A calibrated estimator of scikit-learn that scores lines by their columns.

    empty: features of which nothing was known when it was fitted.
    """

    kind: str
    features: tuple[Feature, ...]
    categories: tuple[tuple[str, ...], ...]
    empty: NDArray[np.bool_]
    estimator: Any
    intercept: float
    slope: float

    def margin(self, columns: Columns) -> Floats:
        """Log-odds, calibrated."""
        matrix = table_model.encode(columns, self.features, self.categories)
        return self._margin(np.where(self.empty, 0.0, matrix))

    def _margin(self, matrix: Floats) -> Floats:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            probability = self.estimator.predict_proba(matrix)[:, 1]
        return self.intercept + self.slope * evaluation.logit(probability)


CATEGORY_PRIOR = 50  # lines that hold the rate of a category at that of all


def fit(
    fit_on: Lines,
    calibrate_on: Lines,
    features: Sequence[Feature],
    *,
    settings: Settings,
    random_state: int,
    kinds: Sequence[str] | None = None,
) -> dict[str, Rival]:
    """The estimators of these kinds (None: all), by kind."""
    from threadpoolctl import threadpool_limits

    features = boosting.in_order(features)
    categories = boosting.frequent_categories(fit_on.columns, features, settings)
    order = np.argsort(fit_on.key, kind="stable")
    label = fit_on.label[order]
    fitted, late = (
        table_model.encode(lines.columns, features, categories) for lines in (fit_on, calibrate_on)
    )
    fitted = fitted[order]
    empty = np.isnan(fitted).all(axis=0)
    fitted, late = (np.where(empty, 0.0, part) for part in (fitted, late))
    found = {}
    for kind, estimator in _estimators(features, settings, random_state).items():
        if kinds is None or kind in kinds:
            with threadpool_limits(1):
                estimator.fit(fitted, label)
            raw = Rival(kind, features, tuple(categories), empty, estimator, 0.0, 1.0)
            calibration = evaluation.fit_sigmoid(raw._margin(late), calibrate_on.label)
            found[kind] = replace(raw, intercept=calibration[0], slope=calibration[1])
    return found


def probabilities(
    fit_on: Lines,
    test: Lines,
    rivals: Mapping[str, Rival],
    features: Sequence[Feature],
    *,
    settings: Settings,
) -> dict[str, Floats]:
    """Calibrated probabilities of the test lines: of two rates, and of each rival."""
    rate = fit_on.label.mean()
    found = {"base_rate": np.full(len(test.label), rate)}
    of_category = [feature for feature in features if feature.name == "category"]
    if of_category:
        names = boosting.frequent_categories(fit_on.columns, of_category, settings)
        known, tested = (
            np.nan_to_num(
                table_model.encode(lines.columns, of_category, names)[:, 0], nan=-1
            ).astype(int)
            for lines in (fit_on, test)
        )
        rates = _category_rates(known, fit_on.label, rate)
        found["category_rate"] = np.array([rates.get(code, rate) for code in tested])
    for kind, rival in rivals.items():
        found[kind] = evaluation.sigmoid(rival.margin(test.columns))
    return found


def _category_rates(codes: Ints, label: Ints, rate: float) -> dict[int, float]:
    return {
        int(code): (label[codes == code].sum() + CATEGORY_PRIOR * rate)
        / ((codes == code).sum() + CATEGORY_PRIOR)
        for code in np.unique(codes)
    }


def _estimators(features: Sequence[Feature], settings: Settings, random_state: int) -> dict:
    """Stock estimators of the encoded matrix, which has missing values."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    categorical = [feature.kind == "categorical" for feature in features]
    words = [place for place, is_word in enumerate(categorical) if is_word]
    numbers = [place for place, is_word in enumerate(categorical) if not is_word]
    prepared = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), words),
        (
            make_pipeline(
                SimpleImputer(strategy="median", add_indicator=True),
                FunctionTransformer(_signed_log),
                StandardScaler(),
            ),
            numbers,
        ),
        sparse_threshold=0.0,
    )
    return {
        "logistic": make_pipeline(prepared, LogisticRegression(C=0.1, solver="newton-cholesky")),
        "forest": RandomForestClassifier(
            n_estimators=20,  # more of them, or of more rows each, cost seconds and ranked alike
            max_samples=0.35,
            max_depth=10,
            min_samples_leaf=settings.min_leaf_rows,
            class_weight="balanced_subsample",
            random_state=random_state,
        ),
        "boosting": HistGradientBoostingClassifier(
            max_iter=settings.trees // 2,  # twice as many that learn half as much ranked alike
            learning_rate=settings.learning_rate,
            max_leaf_nodes=15,
            max_bins=settings.max_bins,
            min_samples_leaf=settings.min_leaf_rows,
            categorical_features=categorical,
            early_stopping=False,
            random_state=random_state,
        ),
    }


def _signed_log(values: Floats) -> Floats:
    return np.sign(values) * np.log1p(np.abs(values))


def champion(
    found: Mapping[str, Mapping[str, evaluation.Metric]], *, ships: str, min_gain: float
) -> str:
    """The model that ships, unless another ranks better and is worse at nothing that counts.

    Better: its ROC-AUC is higher by more than min_gain. What counts besides: the log loss, since
    what to do follows from probabilities, and PR-AUC, since few lines are acted on. Of several the
    one with the highest ROC-AUC.
    """

    def gain(kind: str, name: str) -> float:
        if name not in found[kind] or name not in found[ships]:
            return 0.0
        return found[kind][name].value - found[ships][name].value

    better = [
        kind
        for kind in found
        if kind != ships
        and gain(kind, "roc_auc") > min_gain
        and gain(kind, "pr_auc") >= 0
        and gain(kind, "log_loss") <= 0
    ]
    return max(better, key=lambda kind: (gain(kind, "roc_auc"), kind), default=ships)
