"""Who will stay away: logistic regression and random forest, tested out of time.

Rows are customers at cut-offs. What is learnt at a cut-off comes from earlier ones whose outcome
was known by then; the last of those calibrates, the others fit. Two rules are the baselines: days
since the last purchase, and the probability of BG/NBD that the customer is still alive.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml import evaluation
from ml.evaluation import Floats, Ints, Records

# columns of int_churn_features; the macro churn_features names the same
FEATURES = (
    "recency",
    "recency_months",
    "tenure",
    "frequency",
    "overdue",
    "purchases_30",
    "purchases_90",
    "purchase_amount",
    "purchase_lines",
    "return_share",
)
MODELS = ("logistic", "forest")
BASELINES = ("recency", "p_alive")
RESAMPLES = 100  # of customers, for the intervals of differences
PERMUTATIONS = 5


@dataclass(frozen=True)
class Policy:
    """The numbers of policy_parameters that fitting needs."""

    fit_rows: int
    min_rows: int
    trees: int
    depth: int
    min_gain: float
    threshold: float
    z: float

    @classmethod
    def of(cls, policies: Mapping[str, int], levels: Mapping[int, float]) -> "Policy":
        """From the rows of policy_parameters and policy_confidence_levels."""
        return cls(
            fit_rows=policies["churn_fit_rows"],
            min_rows=policies["churn_min_rows"],
            trees=policies["churn_forest_trees"],
            depth=policies["churn_forest_depth"],
            min_gain=policies["churn_forest_min_gain_permille"] / 1000,
            threshold=policies["churn_threshold_percent"] / 100,
            z=float(levels[policies["interval_confidence_percent"]]),
        )


@dataclass(frozen=True)
class Snapshots:
    """Customers at cut-offs: arrays of one length, ordered.

    features: (n, k); label: 1 churned, 0 did not, -1 not known yet; known_on, horizon_end: days as
    ordinals; is_tested: of the cut-off; customer: a number per customer; p_alive: NaN where there
    is none.
    """

    features: Floats
    label: Ints
    known_on: Ints
    horizon_end: Ints
    is_tested: NDArray[np.bool_]
    customer: Ints
    recency: Floats
    p_alive: Floats


@dataclass(frozen=True)
class Fitted:
    """One model, fitted and calibrated: score() gives its log-odds, calibrated."""

    kind: str
    centre: Floats
    scale: Floats
    varies: NDArray[np.bool_]
    estimator: object
    intercept: float
    slope: float

    def raw(self, features: Floats) -> Floats:
        """Log-odds before calibration; of a baseline the score that it ranks by."""
        scaled = np.where(self.varies, (features - self.centre) / self.scale, 0.0)
        if self.kind == "logistic":
            return scaled @ self.estimator.coef_[0] + self.estimator.intercept_[0]
        return evaluation.logit(self.estimator.predict_proba(scaled)[:, 1])

    def probability(self, features: Floats) -> Floats:
        """Calibrated probability of churn."""
        return evaluation.sigmoid(self.intercept + self.slope * self.raw(features))


class NoModel(Exception):
    """Why there is none; the message is for the reader of model_runs."""


def snapshots(columns: Mapping[str, Any]) -> Snapshots:
    """From the columns of int_churn_features, as DuckDB gives them: masked where NULL."""
    return Snapshots(
        features=matrix(columns),
        label=np.ma.filled(np.ma.asarray(columns["has_churned"]).astype(np.int64), -1),
        known_on=_ordinals(columns["known_on"]),
        horizon_end=_ordinals(columns["horizon_end"]),
        is_tested=np.asarray(columns["is_tested"], bool),
        customer=np.unique(np.asarray(columns["customer_id"], str), return_inverse=True)[1],
        recency=np.asarray(columns["recency_days"], float),
        p_alive=np.ma.filled(np.ma.asarray(columns["p_alive"]).astype(float), np.nan),
    )


def matrix(columns: Mapping[str, Any]) -> Floats:
    """The features, one column each."""
    return np.column_stack([np.asarray(columns[name], float) for name in FEATURES])


def _ordinals(days: Any) -> Ints:
    """Days as date.toordinal() counts them; far in the future where NULL."""
    epoch = date(1970, 1, 1).toordinal()
    numbers = np.ma.asarray(days).astype("datetime64[D]").astype(np.int64) + epoch
    return np.asarray(np.ma.filled(numbers, date.max.toordinal()))


@evaluation.on_one_thread
def scores(models: Mapping[str, Fitted], columns: Mapping[str, Any], *, today: date) -> Records:
    """The forest's probability for each customer of a batch; the other models are scored in SQL."""
    records = Records()
    found = models["forest"].probability(matrix(columns))
    for customer, probability in zip(columns["customer_id"], found, strict=True):
        records.add(
            *("score", "forest", "probability"),
            value=probability,
            trained_on=today,
            slice_type="customer",
            slice_id=customer,
        )
    return records


def fit(
    kind: str,
    features: Floats,
    label: Ints,
    *,
    late_features: Floats,
    late_label: Ints,
    policy: Policy,
    random_state: int,
) -> Fitted:
    """Fit on the first rows, calibrate on the late ones. A constant feature gets no weight."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    centre, scale = features.mean(axis=0), features.std(axis=0)
    constant = scale <= 1e-12 * np.maximum(1, np.abs(centre))
    scale = np.where(constant, 1, scale)
    if constant.all():
        raise NoModel("all features are constant: no customer differs from another")
    varies = ~constant
    scaled = np.where(varies, (features - centre) / scale, 0.0)
    if kind == "logistic":
        estimator = LogisticRegression(C=1.0, max_iter=500)
    else:
        estimator = RandomForestClassifier(
            n_estimators=policy.trees,
            max_depth=policy.depth,
            min_samples_leaf=20,
            max_features=3,
            n_jobs=1,
            random_state=random_state,
        )
    estimator.fit(scaled, label)
    raw = Fitted(kind, centre, scale, varies, estimator, 0.0, 1.0)
    if kind == "logistic":
        estimator.coef_[0][constant] = 0.0
    intercept, slope = evaluation.fit_sigmoid(raw.raw(late_features), late_label)
    return Fitted(kind, centre, scale, varies, estimator, intercept, slope)


def slices(data: Snapshots, on: int, policy: Policy, random_state: int) -> tuple[Ints, Ints]:
    """Rows to fit and rows to calibrate on, all with an outcome known on that day.

    Raises NoModel where they do not suffice.
    """
    known = (data.label >= 0) & (data.horizon_end <= on)
    cut_offs = np.unique(data.known_on[known])
    if len(cut_offs) < 2:
        raise NoModel(
            f"{len(cut_offs)} month-ends whose outcome is known; it takes two, one to fit on and"
            " a later one to calibrate on"
        )
    early = np.flatnonzero(known & (data.known_on < cut_offs[-1]))
    late = np.flatnonzero(known & (data.known_on == cut_offs[-1]))
    for rows, name in ((early, "to fit on"), (late, "to calibrate on")):
        least = policy.min_rows if name == "to fit on" else policy.min_rows // 4
        rarer = min(data.label[rows].sum(), len(rows) - data.label[rows].sum())
        if len(rows) < least:
            raise NoModel(f"{len(rows)} rows {name}, fewer than {least}")
        if rarer == 0:
            raise NoModel(f"one class only {name}: all of them or none of them churned")
        if rarer < least / 10:
            raise NoModel(f"{rarer} rows {name} are of the rarer class, fewer than {least // 10}")
    if len(early) > policy.fit_rows:
        chosen = np.random.default_rng(random_state).permutation(len(early))[: policy.fit_rows]
        early = early[np.sort(chosen)]
    return early, late


@evaluation.on_one_thread
def learn(
    data: Snapshots, *, today: date, policy: Policy, random_state: int
) -> tuple[Records, dict[str, Fitted]]:
    """Test all models and rules at the tested cut-offs, then fit what is in use today.

    Returns what was found, and the models in use (none where the records say why).
    """
    records, trained_on = Records(), today
    try:
        early, late = slices(data, today.toordinal(), policy, random_state)
        models = _fit_all(data, early, late, policy, random_state)
    except NoModel as reason:
        for kind in MODELS:
            records.add("run", kind, "status", trained_on=trained_on, detail="no model")
            records.add("run", kind, "reason", trained_on=trained_on, detail=str(reason))
        return records, {}
    for kind, model in models.items():
        _describe(records, kind, model, data, early, late, trained_on, policy)
    champion = _test(records, data, today, policy, random_state)
    for kind in MODELS:
        records.add(
            *("run", kind, "is_champion"), trained_on=trained_on, value=float(kind == champion)
        )
    return records, models


def _fit_all(
    data: Snapshots, early: Ints, late: Ints, policy: Policy, random_state: int
) -> dict[str, Fitted]:
    return {
        kind: fit(
            kind,
            data.features[early],
            data.label[early],
            late_features=data.features[late],
            late_label=data.label[late],
            policy=policy,
            random_state=random_state,
        )
        for kind in MODELS
    }


def _describe(
    records: Records,
    kind: str,
    model: Fitted,
    data: Snapshots,
    early: Ints,
    late: Ints,
    trained_on: date,
    policy: Policy,
) -> None:
    """What a model in use rests on; of the logistic regression all that SQL needs to score."""
    facts = {
        "fit_rows": len(early),
        "fit_positives": int(data.label[early].sum()),
        "calibration_rows": len(late),
        "calibration_positives": int(data.label[late].sum()),
        "calibration_intercept": model.intercept,
        "calibration_slope": model.slope,
    }
    for name, value in facts.items():
        records.add("run", kind, name, trained_on=trained_on, value=value)
    days = {
        "fit_from": data.known_on[early].min(),
        "fit_to": data.known_on[early].max(),
        "calibrated_on": data.known_on[late].max(),
    }
    for name, day in days.items():
        detail = date.fromordinal(int(day)).isoformat()
        records.add("run", kind, name, trained_on=trained_on, detail=detail)
    records.add("run", kind, "status", trained_on=trained_on, detail="fitted")
    records.add("run", kind, "features", trained_on=trained_on, detail=", ".join(FEATURES))
    parameters = "C = 1, standardised"
    if kind == "forest":
        parameters = f"{policy.trees} trees, {policy.depth} levels, at least 20 rows in a leaf"
    records.add("run", kind, "parameters", trained_on=trained_on, detail=parameters)
    detail = f"scikit-learn {version('scikit-learn')}, numpy {version('numpy')}"
    records.add("run", kind, "libraries", trained_on=trained_on, detail=detail)
    constant = [name for name, varies in zip(FEATURES, model.varies, strict=True) if not varies]
    if constant:
        detail = f"constant, so without weight: {', '.join(constant)}"
        records.add("run", kind, "reason", trained_on=trained_on, detail=detail)
    if kind == "logistic":
        records.add(
            *("coefficient", kind, "intercept"),
            trained_on=trained_on,
            value=model.estimator.intercept_[0],
        )
        for position, name in enumerate(FEATURES):
            records.add(
                *("coefficient", kind, name),
                trained_on=trained_on,
                value=model.estimator.coef_[0][position],
                lo=model.centre[position],
                hi=model.scale[position],
            )


def _test(
    records: Records,
    data: Snapshots,
    today: date,
    policy: Policy,
    random_state: int,
) -> str:
    """Metrics out of time; returns the champion (the simpler model where nothing was tested)."""
    trained_on = today
    tested = np.unique(data.known_on[data.is_tested])
    rows, probabilities = [], []
    for day in tested:
        test = np.flatnonzero(data.known_on == day)
        try:
            early, late = slices(data, day, policy, random_state)
            found = _probabilities(data, early, late, test, policy, random_state)
        except NoModel as reason:
            then = date.fromordinal(int(day))
            records.add("run", MODELS[0], "status", trained_on=then, detail="no model")
            records.add("run", MODELS[0], "reason", trained_on=then, detail=str(reason))
            continue
        rows.append(test)
        probabilities.append(found)
        for kind, probability in found.items():
            records.add_metrics(
                "metric",
                kind,
                evaluation.metrics(
                    data.label[test], probability, threshold=policy.threshold, z=policy.z
                ),
                trained_on=date.fromordinal(int(day)),
                tested_on=date.fromordinal(int(day)),
                slice_type="all",
                slice_id="all",
            )
    if not rows:
        return MODELS[0]
    pooled = np.concatenate(rows)
    label = data.label[pooled]
    shared = [kind for kind in MODELS + BASELINES if all(kind in found for found in probabilities)]
    scores = {kind: np.concatenate([found[kind] for found in probabilities]) for kind in shared}
    # customers who were silent for longer than the horizon have churned already
    silent = data.recency[pooled] > (data.horizon_end - data.known_on)[pooled]
    parts = {("all", "all"): np.full(len(pooled), True)}
    parts |= {("status", "active"): ~silent, ("status", "silent"): silent}
    for (slice_type, slice_id), inside in parts.items():
        if not inside.any():
            continue
        design = inside.sum() / len(np.unique(data.customer[pooled[inside]]))
        for kind, probability in scores.items():
            where = {"trained_on": trained_on, "slice_type": slice_type, "slice_id": slice_id}
            found = evaluation.metrics(
                label[inside],
                probability[inside],
                threshold=policy.threshold,
                z=policy.z,
                design=design,
            )
            records.add_metrics("metric", kind, found, **where)
            if slice_type != "all":
                continue
            counts = evaluation.confusion(label, probability, policy.threshold)
            for name, count in counts.items():
                records.add(
                    *("confusion", kind, name),
                    value=count,
                    lo=policy.threshold,
                    n=len(label),
                    **where,
                )
            bins = evaluation.calibration(label, probability, z=policy.z, design=design)
            for bin in bins:
                records.add(
                    *("calibration", kind, "predicted"),
                    value=bin.predicted,
                    n=bin.n,
                    trained_on=trained_on,
                    slice_type="bin",
                    slice_id=str(bin.number),
                )
                records.add(
                    *("calibration", kind, "observed"),
                    value=bin.observed,
                    lo=bin.lo,
                    hi=bin.hi,
                    n=bin.n,
                    trained_on=trained_on,
                    slice_type="bin",
                    slice_id=str(bin.number),
                )
    if not 0 < label.sum() < len(label):
        return MODELS[0]
    gains = _gains(records, label, scores, data.customer[pooled], trained_on, random_state)
    _permute(records, data, today, int(tested[-1]), policy, random_state)
    better = gains.get(("forest", "logistic"), 0.0) > policy.min_gain
    return "forest" if better else "logistic"


def _probabilities(
    data: Snapshots, early: Ints, late: Ints, test: Ints, policy: Policy, random_state: int
) -> dict[str, Floats]:
    """Calibrated probabilities of every model and rule on the test rows."""
    models = _fit_all(data, early, late, policy, random_state)
    found = {kind: model.probability(data.features[test]) for kind, model in models.items()}
    # a rule has nothing to fit: its score is made a probability on the same later slice
    rules = {"recency": np.log1p(data.recency), "p_alive": -evaluation.logit(data.p_alive)}
    for kind, score in rules.items():
        # BG/NBD is fitted at tested cut-offs only: there it is calibrated on what it says today
        if np.isnan(score[test]).any():
            continue
        known = ~np.isnan(score[late])
        if known.any():
            intercept, slope = evaluation.fit_sigmoid(score[late][known], data.label[late][known])
            found[kind] = evaluation.sigmoid(intercept + slope * score[test])
    return found


def _gains(
    records: Records,
    label: Ints,
    scores: dict[str, Floats],
    customer: Ints,
    trained_on: date,
    random_state: int,
) -> dict[tuple[str, str], float]:
    """How much higher the PR-AUC is than that of each rival, with the interval of resampling."""
    weights = evaluation.resampled_weights(customer, RESAMPLES, random_state)
    areas = {kind: evaluation.average_precision(label, score) for kind, score in scores.items()}
    drawn = {
        kind: evaluation.average_precision(label, score, weights) for kind, score in scores.items()
    }
    found = {}
    for kind in MODELS:
        for rival in scores:
            if rival == kind:
                continue
            found[kind, rival] = float(areas[kind][0] - areas[rival][0])
            lo, hi = np.quantile(drawn[kind] - drawn[rival], [0.05, 0.95])
            records.add(
                *("metric", kind, f"pr_auc_gain_over_{rival}"),
                value=found[kind, rival],
                lo=lo,
                hi=hi,
                n=len(label),
                trained_on=trained_on,
                slice_type="all",
                slice_id="all",
            )
    return found


def _permute(
    records: Records,
    data: Snapshots,
    today: date,
    day: int,
    policy: Policy,
    random_state: int,
) -> None:
    """AUC of models that learnt from shuffled outcomes, on shuffled outcomes: chance, or a leak.

    Outcomes are shuffled among the customers of a cut-off, so that base rates stay. A smaller
    forest does: what leaks is in the features.
    """
    areas: dict[str, list[float]] = {kind: [] for kind in MODELS}
    rng = np.random.default_rng(random_state)
    test = np.flatnonzero(data.known_on == day)
    early, late = slices(data, day, policy, random_state)
    smaller = replace(policy, trees=max(1, policy.trees // PERMUTATIONS))
    for _ in range(PERMUTATIONS):
        label = data.label.copy()
        for rows in np.split(np.arange(len(label)), _starts(data.known_on)):
            label[rows] = rng.permutation(label[rows])
        for kind in MODELS:
            model = fit(
                kind,
                data.features[early],
                label[early],
                late_features=data.features[late],
                late_label=label[late],
                policy=smaller,
                random_state=random_state,
            )
            areas[kind].append(evaluation.roc_auc(label[test], model.raw(data.features[test]))[0])
    for kind, found in areas.items():
        records.add(
            *("leak", kind, "permuted_labels"),
            value=float(np.mean(found)),
            n=len(test) * len(found),
            trained_on=today,
            tested_on=date.fromordinal(int(day)),
            detail=f"mean of {len(found)} permutations",
        )


def _starts(known_on: Ints) -> NDArray[np.int64]:
    """Where a new cut-off begins; rows are ordered by cut-off."""
    return np.flatnonzero(np.diff(known_on)) + 1
