"""Will this line come back: models fitted at past days, tested on what was ordered after them.

Rows are order lines with what was known of them when they were ordered, and whether they came back
within the return window. On a training day only lines whose window had closed are learnt from: the
earlier ones fit, the last of them calibrate. Lines ordered after it, until the next training day,
are what the model is tested on; `ml.retraining` says when one is trained, and whether it scores.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from ml import boosting, candidates, evaluation, retraining, return_evaluation, table_model
from ml.boosting import NoModel, Settings
from ml.evaluation import RECORD, Floats, Ints, Records
from ml.table_model import Columns, Feature, TableModel

TABLE = "table"  # the model that ships


@dataclass(frozen=True)
class Policy:
    """The numbers of policy_parameters that fitting needs."""

    settings: Settings
    fit_rows: int
    min_rows: int
    origins: int
    calibration_days: int
    min_gain: float
    min_auc: float
    threshold: float
    z: float
    retraining: retraining.Rules

    @classmethod
    def of(cls, policies: Mapping[str, int], levels: Mapping[int, float]) -> "Policy":
        """From the rows of policy_parameters and policy_confidence_levels."""
        z = float(levels[policies["interval_confidence_percent"]])
        return cls(
            settings=Settings(
                trees=policies["return_model_trees"],
                learning_rate=policies["return_model_learning_rate_percent"] / 100,
                max_bins=policies["return_model_bins"],
                max_pairs=policies["return_model_pairs"],
                min_leaf_rows=policies["return_model_leaf_rows"],
                max_categories=policies["return_model_categories"],
                min_category_rows=policies["return_model_category_rows"],
            ),
            fit_rows=policies["return_fit_rows"],
            min_rows=policies["return_min_rows"],
            origins=policies["return_model_origins"],
            calibration_days=policies["return_calibration_days"],
            min_gain=policies["return_champion_min_gain_permille"] / 1000,
            min_auc=policies["return_min_auc_permille"] / 1000,
            threshold=policies["return_threshold_percent"] / 100,
            z=z,
            retraining=retraining.Rules.of(policies, z),
        )


@dataclass(frozen=True)
class Lines:
    """Order lines: columns of features, and arrays of their length. Days are ordinals.

    label: 1 came back within the window, 0 did not; key: what tells lines apart; draw: 0..1, by
    which samples are drawn; ordered_on; known_on: the last day of the window.
    """

    columns: Columns
    label: Ints
    key: NDArray
    draw: Floats
    ordered_on: Ints
    known_on: Ints

    def take(self, rows: Ints) -> "Lines":
        columns = {name: values[rows] for name, values in self.columns.items()}
        rest = (self.label, self.key, self.draw, self.ordered_on, self.known_on)
        return Lines(columns, *(values[rows] for values in rest))


@dataclass(frozen=True)
class Version:
    """A model in use: knows what was known on the day trained_on, and scores later lines until a
    later version does (its day; None: there is none). The first scores what came before it, too.
    A name like table@2026-03-31+cal2026-06-30: fitted on the first day, calibrated on the second,
    which is what it knows.

    Where a rival is the champion it gives the margins, and the table of the same day the reasons.
    """

    name: str
    trained_on: date
    until: date | None
    is_first: bool
    model: TableModel
    rival: candidates.Rival | None = None

    @property
    def scores(self) -> str:
        """Which lines, as SQL over ordered_date."""
        later = "true" if self.is_first else f"ordered_date > date '{self.trained_on}'"
        return later if self.until is None else f"{later} and ordered_date <= date '{self.until}'"


def lines(columns: Columns, features: Sequence[Feature], *, window: int) -> Lines:
    """Lines of columns: features, order_line_id, draw, ordered_date and came_back."""
    ordered_on = np.ma.getdata(columns["ordered_date"]).astype("datetime64[D]").astype(np.int64)
    ordered_on += date(1970, 1, 1).toordinal()
    return Lines(
        columns={
            feature.name: _text(columns[feature.name])
            if feature.kind == "categorical"
            else columns[feature.name]
            for feature in features
        },
        label=np.ma.getdata(columns["came_back"]).astype(np.int64),
        key=np.ma.getdata(columns["order_line_id"]).astype(str),
        draw=np.ma.getdata(columns["draw"]).astype(float),
        ordered_on=ordered_on,
        known_on=ordered_on + window,
    )


def _text(values: NDArray) -> NDArray:
    """Objects as masked text, once: they are encoded many times over."""
    if np.ma.getdata(values).dtype.kind != "O":
        return values
    missing = table_model.is_missing(values)
    text = np.where(missing, "", np.ma.getdata(values)).astype(str)
    return np.ma.masked_array(text, mask=missing)


def versions(rows: Sequence[Mapping]) -> list[tuple[str, Version]]:
    """The models in use, with their source, of records of intercepts, bins and pairs."""
    found: list[tuple[str, Version]] = []
    intercepts = [row for row in rows if row["record"] == "intercept"]
    for source in sorted({row["source"] for row in intercepts}):
        own = sorted(
            (row for row in intercepts if row["source"] == source),
            key=lambda row: row["trained_on"],
        )
        ends = [*(row["trained_on"] for row in own[1:]), None]
        for number, (row, until) in enumerate(zip(own, ends, strict=True)):
            parts = [
                part
                for part in rows
                if part["source"] == source and part["slice_id"] == row["slice_id"]
            ]
            bins = [
                (
                    *(part["feature_a"], part["slice_type"], part["name"], part["bin_a"]),
                    *(part["lo"], part["hi"], part["detail"], part["value"]),
                )
                for part in parts
                if part["record"] == "bin"
            ]
            pairs = [
                tuple(part[name] for name in ("feature_a", "bin_a", "feature_b", "bin_b", "value"))
                for part in parts
                if part["record"] == "pair"
            ]
            model = table_model.from_rows(row["value"], bins, pairs)
            found.append(
                (source, Version(row["slice_id"], row["trained_on"], until, number == 0, model))
            )
    return found


def fit(
    source: str,
    read: Callable[[], Columns],
    features: Sequence[Feature],
    *,
    policy: Policy,
    today: int,
    window: int,
    seed: int,
) -> tuple[str, list[Version]]:
    """What `learn` finds in the columns that `read` gives: records as JSON text, and the models
    that are in use."""
    sample = lines(read(), features, window=window)
    records, _, rivals = learn(sample, features, today=today, policy=policy, random_state=seed)
    text = records.as_json(source)
    nothing = dict.fromkeys((*RECORD, "feature_a", "bin_a", "feature_b", "bin_b"))
    rows = [nothing | row for row in json.loads(text)]
    for row in rows:
        row["trained_on"] = date.fromisoformat(row["trained_on"])
    return text, [_in_use(version, rivals) for _, version in versions(rows)]


def _in_use(version: Version, rivals: Mapping[date, candidates.Rival]) -> Version:
    rival = rivals.get(version.trained_on)
    if rival is None:
        return version
    return replace(version, name=_named_as(version.name, rival.kind), rival=rival)


def _named_as(name: str, kind: str) -> str:
    """The version of another kind that has learnt from the same lines."""
    return f"{kind}{name.removeprefix(TABLE)}"


def training_days(first_known: int, today: int, quarters: int) -> list[int]:
    """Days of knowledge: the last ends of so many quarters after the first outcome, and today."""
    years = range(
        date.fromordinal(today).year - 1 - quarters // 4, date.fromordinal(today).year + 1
    )
    starts = [date(year, month, 1).toordinal() for year in years for month in (1, 4, 7, 10)]
    ends = [start - 1 for start in starts if first_known < start <= today]
    return [*ends[-quarters:], today] if quarters else [today]


def slices(lines: Lines, day: int, policy: Policy) -> tuple[Ints, Ints]:
    """Rows to fit and rows to calibrate on, drawn from those whose outcome was known on that day.
    Raises NoModel where they do not suffice."""
    known = lines.known_on <= day
    if not known.any():
        raise NoModel("no line whose return window has closed")
    since = lines.known_on[known].max() - policy.calibration_days
    early = np.flatnonzero(known & (lines.known_on <= since))
    late = np.flatnonzero(known & (lines.known_on > since))
    for rows, least, name in (
        (early, policy.min_rows, "to fit on"),
        (late, policy.min_rows // 4, "to calibrate on"),
    ):
        rarer = min(lines.label[rows].sum(), len(rows) - lines.label[rows].sum())
        if len(rows) < least:
            raise NoModel(f"{len(rows)} lines {name}, fewer than {least}")
        if rarer < least // 20:
            raise NoModel(f"{rarer} lines {name} are of the rarer class, fewer than {least // 20}")
    drawn = [
        rows[np.lexsort([lines.key[rows], lines.draw[rows]])[: policy.fit_rows]]
        for rows in (early, late)
    ]
    return drawn[0], drawn[1]


@evaluation.on_one_thread
def learn(
    lines: Lines, features: Sequence[Feature], *, today: int, policy: Policy, random_state: int
) -> tuple[Records, list[TableModel], dict[date, candidates.Rival]]:
    """Train where it is due, test on what was ordered later; what was found, the tables in use, and
    by day the rivals that score in their place: none unless one is the champion.

    There is always a model: where none can be fitted today and none could before, the base rate is
    in use, and the records say why.
    """
    records = Records(("feature_a", "bin_a", "feature_b", "bin_b"))
    first = int(lines.known_on.min()) if len(lines.label) else today
    tested_from = training_days(first, today, policy.origins)
    ends = dict(zip(tested_from, [*tested_from[1:], None], strict=True))
    in_use: list[Trained] = []
    asked: list[tuple[int, Ints, Trained]] = []
    fits: dict[int, Future] = {}
    reason = None
    # what the rivals learn waits for nothing but their lines, and has a core of its own if one is
    # free; the same numbers either way, since each is fitted on one thread
    with ThreadPoolExecutor(1) as beside:
        for day in sorted({*ends, *retraining.days(first, today, policy.retraining.replay_months)}):
            champion = in_use[-1] if in_use else None
            found, reason = _decide(records, lines, features, champion, day, policy, random_state)
            if found and found.is_in_use:
                in_use.append(found)
            trained, until = found or champion, ends.get(day)
            if trained is None or until is None:
                continue
            rows = np.flatnonzero((lines.ordered_on > day) & (lines.ordered_on <= until))
            if len(rows):
                asked.append((day, rows, trained))
                if trained.day not in fits:
                    fits[trained.day] = beside.submit(
                        candidates.fit,
                        *(lines.take(trained.early), lines.take(trained.late), features),
                        settings=policy.settings,
                        random_state=random_state,
                    )
        tests = [
            _tested(lines, day, rows, trained, fits[trained.day].result(), features, policy)
            for day, rows, trained in asked
        ]
    fitted = {day: fit.result() for day, fit in fits.items()}
    kind = TABLE if in_use else "base_rate"
    # older lines are scored by the model that was in use when testing begins
    before = [trained for trained in in_use if trained.day <= tested_from[0]]
    in_use = [*before[-1:], *(trained for trained in in_use if trained.day > tested_from[0])]
    models = [trained.model for trained in in_use]
    for trained in in_use:
        _describe(records, trained.name, trained.model, trained.facts, trained.day, features)
    if not in_use:
        rate = (lines.label.sum() + 1) / (len(lines.label) + 5)
        models = [table_model.constant(boosting.in_order(features), rate)]
        facts = {"status": "no model", "reason": reason}
        _describe(records, f"{kind}@{_iso(today)}", models[0], facts, today, features)
    elif in_use[-1].day < today:
        where = {"trained_on": date.fromordinal(today), "slice_id": f"{TABLE}@{_iso(today)}"}
        records.add("run", TABLE, "status", detail="kept", **where)
        stays = f"{reason}; {in_use[-1].name} stays in use"
        records.add("run", TABLE, "reason", detail=stays, **where)
    rivals_in_use: dict[date, candidates.Rival] = {}
    if tests:
        champion = _judge(records, lines, tests, policy, today)
        rivals_in_use = _champions(
            *(records, lines, champion, in_use, fitted, features),
            policy=policy,
            random_state=random_state,
        )
        _examine(records, lines, tests, features, policy, random_state)
    elif kind == TABLE:
        # nothing was tested: what ships is in use
        where = {"trained_on": date.fromordinal(today)}
        records.add("run", kind, "is_champion", value=1.0, **where)
        reason = "not tested: no line with a known outcome was ordered after a day of training"
        records.add("run", kind, "reason", detail=reason, **where)
    else:
        records.add("run", kind, "has_signal", value=0.0, trained_on=date.fromordinal(today))
    return records, models, rivals_in_use


def _champions(
    records: Records,
    lines: Lines,
    champion: str,
    in_use: Sequence["Trained"],
    fitted: Mapping[int, Mapping[str, candidates.Rival]],
    features: Sequence[Feature],
    *,
    policy: Policy,
    random_state: int,
) -> dict[date, candidates.Rival]:
    """The champion as of the days of the tables in use, if it is no model that SQL scores."""
    if not any(champion in found for found in fitted.values()):
        return {}
    found = {}
    for trained in in_use:
        rival = fitted.get(trained.day, {}).get(champion)
        if rival is None:
            # nothing was tested after this day
            rival = candidates.fit(
                *(lines.take(trained.early), lines.take(trained.late), features),
                settings=policy.settings,
                random_state=random_state,
                kinds=[champion],
            )[champion]
        day = date.fromordinal(trained.day)
        found[day] = rival
        where = {"trained_on": day, "slice_id": _named_as(trained.name, champion)}
        libraries = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "numpy"))
        names = ", ".join(feature.name for feature in features)
        status = str(trained.facts["status"])
        for name, detail in (("status", status), ("features", names), ("libraries", libraries)):
            records.add("run", champion, name, detail=detail, **where)
        records.add("rival", champion, "intercept", value=rival.intercept, **where)
    return found


@dataclass(frozen=True)
class Trained:
    """A model, the day it was trained on and the rows it learnt from; is_in_use: from then on.

    late_log_odds: what it says of the late rows, on which it was calibrated; recalibrated_on: the
    day of that, where it was fitted earlier.
    """

    fitted_on: int
    model: TableModel
    facts: dict
    early: Ints
    late: Ints
    late_log_odds: Floats
    is_in_use: bool = True
    recalibrated_on: int | None = None

    @property
    def day(self) -> int:
        """What was known then it has learnt from."""
        return self.recalibrated_on or self.fitted_on

    @property
    def name(self) -> str:
        again = f"+cal{_iso(self.recalibrated_on)}" if self.recalibrated_on else ""
        return f"{TABLE}@{_iso(self.fitted_on)}{again}"

    def log_odds(self, lines: Lines) -> Floats:
        return table_model.margin(self.model, table_model.assign(self.model, lines.columns))

    def recalibrated(self, lines: Lines, late: Ints, day: int) -> "Trained | None":
        """The same ranking with level and slope fitted to the late rows of that day; None if it
        misleads on them."""
        calibrate_on = lines.take(late)
        margin = self.log_odds(calibrate_on)
        intercept, slope = evaluation.fit_sigmoid(margin, calibrate_on.label)
        if slope <= 0:
            return None
        return Trained(
            self.fitted_on,
            table_model.calibrated(self.model, intercept, slope),
            self.facts
            | _calibration(calibrate_on, intercept, slope)
            | {"status": "recalibrated", "reason": f"ranks as {TABLE}@{_iso(self.fitted_on)} does"},
            self.early,
            late,
            intercept + slope * margin,
            recalibrated_on=day,
        )


def _decide(
    records: Records,
    lines: Lines,
    features: Sequence[Feature],
    champion: Trained | None,
    day: int,
    policy: Policy,
    random_state: int,
) -> tuple[Trained | None, str]:
    """What was trained that day, if something was due: the champion recalibrated where that is
    decided, else the challenger; and in words why no new model is in use, if so."""
    rules = policy.retraining
    since = champion.day if champion else 0
    outcomes = int(((lines.known_on > since) & (lines.known_on <= day)).sum())
    # of late: what came before that would hide it
    recent = max(since, day - policy.calibration_days)
    come = lines.take(np.flatnonzero((lines.known_on > recent) & (lines.known_on <= day)))
    said = [None, None]
    if champion:
        said = [
            evaluation.sigmoid(part) for part in (champion.log_odds(come), champion.late_log_odds)
        ]
    seen = retraining.look(day, outcomes, come, *said, rules)
    names = {"champion": champion.name if champion else None}

    def decided(decision: str, reason: str | None, **facts: object) -> str:
        names.update(facts)
        retraining.describe(records, day, seen, decision, reason=reason, **names)
        return reason or ""

    if seen.trigger is None:
        return None, decided("kept", "no reason to train a new one")
    if champion and seen.outcomes < rules.min_outcomes:
        few = f"{seen.outcomes} outcomes have come since, fewer than {rules.min_outcomes}"
        return None, decided("not trained", few)
    try:
        early, late = slices(lines, day, policy)
        model, facts, said_late = _fit(lines, early, late, features, policy, random_state)
    except NoModel as none:
        return None, decided("not trained", str(none))
    challenger = Trained(day, model, facts, early, late, said_late)
    names["challenger"] = challenger.name
    if champion is None:
        decided("promoted", "the first model")
        return challenger, ""
    is_neutral = lines.known_on[late] > since
    neutral = lines.take(late[is_neutral])
    compared = retraining.compare(
        neutral, champion.log_odds(neutral), said_late[is_neutral], rules.z
    )
    facts = {"slice_days": neutral.ordered_on, "comparison": compared}
    unused = replace(challenger, is_in_use=False)
    if compared is None:
        few = "too few lines that neither has learnt from"
        return unused, decided("kept", few, **facts)
    decision = compared.decision(rules)
    if decision == "promoted":
        decided(decision, None, **facts)
        return challenger, ""
    again = champion.recalibrated(lines, late, day) if decision == "recalibrated" else None
    if again:
        names["recalibrated"] = again.name
        enough = "a new level and slope gain enough, and the new model not enough beyond that"
        return again, decided(decision, enough, **facts)
    return unused, decided("kept", "neither gains enough, new model nor new level", **facts)


@dataclass(frozen=True)
class Test:
    """Rows ordered after a training day: what the table model and its rivals said of them."""

    day: int
    rows: Ints
    model: TableModel
    bins: Ints
    said: dict[str, Floats]


def _tested(
    lines: Lines,
    day: int,
    rows: Ints,
    trained: Trained,
    rivals: Mapping[str, candidates.Rival],
    features: Sequence[Feature],
    policy: Policy,
) -> Test:
    tested = lines.take(rows)
    bins = table_model.assign(trained.model, tested.columns)
    said = evaluation.sigmoid(table_model.margin(trained.model, bins))
    others = candidates.probabilities(
        *(lines.take(trained.early), tested, rivals, features), settings=policy.settings
    )
    return Test(day, rows, trained.model, bins, {TABLE: said, **others})


def _fit(
    lines: Lines, early: Ints, late: Ints, features: Sequence[Feature], policy: Policy, seed: int
) -> tuple[TableModel, dict, Floats]:
    """The calibrated model, the facts of its training, and its log-odds of the late rows."""
    fit_on, calibrate_on = lines.take(early), lines.take(late)
    model, _ = boosting.fit(
        fit_on.columns,
        fit_on.label,
        fit_on.key,
        features,
        settings=policy.settings,
        random_state=seed,
    )
    bins = table_model.assign(model, calibrate_on.columns)
    margin = table_model.margin(model, bins)
    intercept, slope = evaluation.fit_sigmoid(margin, calibrate_on.label)
    if slope <= 0:
        raise NoModel("what was learnt from earlier lines misleads on later ones: no signal")
    model = table_model.calibrated(model, intercept, slope)
    facts = {
        "status": "fitted",
        "fit_rows": len(early),
        "fit_positives": int(fit_on.label.sum()),
        "fit_from": _iso(fit_on.ordered_on.min()),
        "fit_to": _iso(fit_on.ordered_on.max()),
        **_calibration(calibrate_on, intercept, slope),
    }
    return model, facts, table_model.margin(model, bins)


def _calibration(lines: Lines, intercept: float, slope: float) -> dict:
    """Facts of what a model was calibrated on."""
    return {
        "calibration_rows": len(lines.label),
        "calibration_positives": int(lines.label.sum()),
        "calibration_intercept": intercept,
        "calibration_slope": slope,
        "calibrated_on": _iso(lines.ordered_on.max()),
    }


def _describe(
    records: Records,
    name: str,
    model: TableModel,
    facts: Mapping,
    day: int,
    features: Sequence[Feature],
) -> None:
    """What a model rests on, and its tables."""
    kind, where = name.split("@")[0], {"trained_on": date.fromordinal(day), "slice_id": name}
    libraries = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "numpy"))
    names = ", ".join(feature.name for feature in features)
    for fact, value in {**facts, "features": names, "libraries": libraries}.items():
        given = {"detail": value} if isinstance(value, str) else {"value": value}
        records.add("run", kind, fact, **given, **where)
    records.add("intercept", kind, "intercept", value=model.intercept, **where)
    for row in table_model.bin_rows(model):
        feature, group, feature_kind, number, lower, upper, category, score = row
        records.add(
            *("bin", kind, feature_kind),
            feature_a=feature,
            bin_a=number,
            slice_type=group,
            lo=lower,
            hi=upper,
            detail=category,
            value=score,
            **where,
        )
    for feature_a, bin_a, feature_b, bin_b, score in table_model.pair_rows(model):
        records.add(
            *("pair", kind, "pair"),
            feature_a=feature_a,
            bin_a=bin_a,
            feature_b=feature_b,
            bin_b=bin_b,
            value=score,
            **where,
        )


def _judge(
    records: Records, lines: Lines, tests: Sequence[Test], policy: Policy, today: int
) -> str:
    """Metrics of each test and of all together; whether there is a signal. Gives the champion."""
    for test in tests:
        for kind, probability in test.said.items():
            records.add_metrics(
                *("metric", kind),
                _metrics(lines, test.rows, probability, policy),
                trained_on=date.fromordinal(test.day),
                tested_on=date.fromordinal(int(lines.ordered_on[test.rows].max())),
                slice_type="all",
                slice_id="all",
            )
    rows = np.concatenate([test.rows for test in tests])
    where = {"trained_on": date.fromordinal(today)}
    found: dict[str, dict[str, evaluation.Metric]] = {}
    for kind in tests[0].said:
        probability = np.concatenate([test.said[kind] for test in tests])
        metrics = _metrics(lines, rows, probability, policy)
        records.add_metrics("metric", kind, metrics, slice_type="all", slice_id="all", **where)
        named = {metric.name: metric for metric in metrics}
        found[kind] = named
        if kind == TABLE:
            has_signal, reason = return_evaluation.signal(named, policy.min_auc)
            records.add("run", kind, "has_signal", value=has_signal, **where)
            if reason:
                records.add("run", kind, "reason", detail=reason, **where)
        else:
            records.add("run", kind, "status", detail="fitted", **where)
        return_evaluation.describe_test(
            *(records, kind, lines.label[rows], probability),
            threshold=policy.threshold,
            z=policy.z,
            **where,
        )
    champion = candidates.champion(found, ships=TABLE, min_gain=policy.min_gain)
    for kind in found:
        records.add("run", kind, "is_champion", value=float(kind == champion), **where)
    return champion


def _metrics(
    lines: Lines, rows: Ints, probability: Floats, policy: Policy
) -> list[evaluation.Metric]:
    return evaluation.metrics(
        lines.label[rows], probability, threshold=policy.threshold, z=policy.z
    )


def _examine(
    records: Records,
    lines: Lines,
    tests: Sequence[Test],
    features: Sequence[Feature],
    policy: Policy,
    random_state: int,
) -> None:
    """What the last model leans on; leak checks on the largest test."""
    last, largest = tests[-1], max(tests, key=lambda test: (len(test.rows), test.day))
    label = lines.label[last.rows]
    if 0 < label.sum() < len(label):
        return_evaluation.importance(
            *(records, last.model, last.bins, label),
            z=policy.z,
            random_state=random_state,
            trained_on=date.fromordinal(last.day),
        )
    label = lines.label[largest.rows]
    if 0 < label.sum() < len(label):
        early, _ = slices(lines, largest.day, policy)
        return_evaluation.leak_checks(
            *(records, lines.take(early), lines.take(largest.rows), features),
            settings=policy.settings,
            z=policy.z,
            random_state=random_state,
            trained_on=date.fromordinal(largest.day),
            tested_on=date.fromordinal(int(lines.ordered_on[largest.rows].max())),
        )


def _iso(day: int) -> str:
    return date.fromordinal(int(day)).isoformat()
