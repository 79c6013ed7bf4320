"""What the table model is compared with: rates, logistic regression, forest, unrestricted boosting.

Each learns from the same lines and is calibrated on the same later ones.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

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


CATEGORY_PRIOR = 50  # lines that hold the rate of a category at that of all


def probabilities(
    fit_on: Lines,
    calibrate_on: Lines,
    test: Lines,
    features: Sequence[Feature],
    *,
    settings: Settings,
    random_state: int,
) -> dict[str, Floats]:
    """Calibrated probabilities of the test lines, by candidate."""
    from threadpoolctl import threadpool_limits

    features = boosting.in_order(features)
    categories = boosting.frequent_categories(fit_on.columns, features, settings)
    order = np.argsort(fit_on.key, kind="stable")
    label = fit_on.label[order]
    fitted, late, tested = (
        table_model.encode(lines.columns, features, categories)
        for lines in (fit_on, calibrate_on, test)
    )
    fitted = fitted[order]
    nothing = np.isnan(fitted).all(axis=0)
    fitted, late, tested = (np.where(nothing, 0.0, part) for part in (fitted, late, tested))
    rate = label.mean()
    found = {"base_rate": np.full(len(tested), rate)}
    names = [feature.name for feature in features]
    if "category" in names:
        rates = _category_rates(fitted[:, names.index("category")], label, rate)
        codes = np.nan_to_num(tested[:, names.index("category")], nan=-1).astype(int)
        found["category_rate"] = np.array([rates.get(code, rate) for code in codes])
    with threadpool_limits(1):
        for kind, estimator in _estimators(features, settings, random_state).items():
            estimator.fit(fitted, label)
            scores = [
                evaluation.logit(estimator.predict_proba(part)[:, 1]) for part in (late, tested)
            ]
            intercept, slope = evaluation.fit_sigmoid(scores[0], calibrate_on.label)
            found[kind] = evaluation.sigmoid(intercept + slope * scores[1])
    return found


def _category_rates(codes: Floats, label: Ints, rate: float) -> dict[int, float]:
    codes = np.nan_to_num(codes, nan=-1).astype(int)
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
            n_estimators=20,  # more of them, or of all rows each, cost seconds and ranked alike
            max_samples=0.5,
            max_depth=10,
            min_samples_leaf=settings.min_leaf_rows,
            class_weight="balanced_subsample",
            random_state=random_state,
        ),
        "boosting": HistGradientBoostingClassifier(
            max_iter=settings.trees,
            learning_rate=settings.learning_rate / 2,
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


def champion(areas: Mapping[str, float], *, ships: str, min_gain: float) -> str:
    """The model that ships, unless another is better by more than min_gain; then the best one."""
    best = max(areas, key=lambda kind: (areas[kind], kind == ships, kind))
    return best if areas[best] - areas[ships] > min_gain else ships
