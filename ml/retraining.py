"""When a model of returns is trained anew, and whether the new one takes over.

At the end of each month somebody would ask: is the model in use old, does it still say what comes
back, are the lines it scores still like those it knows, and have outcomes come to learn from? If so
a challenger is trained, and three are asked about lines whose outcomes none has learnt from: the
champion as it is, the champion with its level and slope fitted anew, and the challenger.
The past is decided again in every build, from nothing but what was known on each day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np

from ml import evaluation, return_evaluation
from ml.evaluation import Floats, Ints, Records

BINS = 10  # of scores, for their drift
LEAST_DAYS = 8  # fewer days of orders have no spread worth the name


@dataclass(frozen=True)
class Estimate:
    """A number and its interval."""

    value: float
    lo: float
    hi: float


@dataclass(frozen=True)
class Rules:
    """The numbers of policy_parameters that retraining needs."""

    replay_months: int
    every_months: int
    min_outcomes: int
    calibration: float
    drift: float
    min_gain: float
    z: float

    @classmethod
    def of(cls, policies: Mapping[str, int], z: float) -> "Rules":
        """From the rows of policy_parameters."""
        return cls(
            replay_months=policies["replay_months"],
            every_months=policies["retrain_every_months"],
            min_outcomes=policies["retrain_min_outcomes"],
            calibration=policies["retrain_calibration_percent"] / 100,
            drift=policies["retrain_drift_permille"] / 1000,
            min_gain=policies["promotion_min_gain_permille"] / 1000,
            z=z,
        )

    def are_met(self, gain: Estimate) -> bool:
        """Surely more than nothing, and at least the least gain."""
        return gain.lo > 0 and gain.value >= self.min_gain


class Asked(Protocol):
    """Lines whose outcome is known: labels of 1 and 0, days of orders, what tells rows apart."""

    label: Ints
    key: np.ndarray
    ordered_on: Ints


@dataclass(frozen=True)
class Look:
    """What is known of the model in use on some day.

    outcomes: lines whose outcome has come since it was trained; of the latest of them, calibration:
    returns over those it expected, and drift: how far its scores lie from those it was calibrated
    on (PSI, less what chance makes); trigger: why a challenger is due, None if it is not.
    """

    trigger: str | None
    outcomes: int
    calibration: Estimate | None = None
    drift: float | None = None


def days(first_known: int, today: int, months: int) -> list[int]:
    """Month-ends on which it is decided, and today: from the last end of a year that lies so many
    month-ends back, so that a build some months earlier or later begins at the same day."""
    last = date.fromordinal(today)
    place = last.year * 12 + last.month - 1 - months
    anchor = date((place + 1) // 12, 1, 1).toordinal() - 1
    found = []
    for month in range(date.fromordinal(anchor).year * 12 + 11, last.year * 12 + last.month + 1):
        end = date(month // 12, month % 12 + 1, 1).toordinal() - 1
        if max(anchor, first_known) <= end < today:
            found.append(end)
    return [*found, today]


def is_month_end(day: int) -> bool:
    return date.fromordinal(day + 1).day == 1


def look(
    day: int,
    outcomes: int,
    lines: Asked,
    probability: Floats | None,
    calibrated_on: Floats | None,
    rules: Rules,
) -> Look:
    """`lines` are those whose outcome has come of late, `probability` what the model in use says of
    them, `calibrated_on` what it says of those it was calibrated on; without a model both are
    None."""
    if probability is None:
        return Look("no model", outcomes)
    calibration = observed_to_expected(lines, probability, rules.z)
    drift = score_drift(calibrated_on, probability) if len(lines.label) else None
    off = calibration is not None and (
        calibration.lo > 1 + rules.calibration or calibration.hi < 1 - rules.calibration
    )
    is_due = is_month_end(day) and date.fromordinal(day).month % rules.every_months == 0
    trigger = (
        "calibration"
        if off
        else "drift"
        if drift is not None and drift > rules.drift
        else "age"
        if is_due
        else None
    )
    return Look(trigger, outcomes, calibration, drift)


def observed_to_expected(lines: Asked, probability: Floats, z: float) -> Estimate | None:
    """Returns over those expected; lines of one day vary together. None on too few days."""
    error = day_error(lines.ordered_on, lines.label - probability)
    if error is None:
        return None
    expected = probability.sum()
    ratio = lines.label.sum() / expected
    half = z * error * len(lines.label) / expected
    return Estimate(float(ratio), float(max(0.0, ratio - half)), float(ratio + half))


def score_drift(before: Floats, now: Floats) -> float:
    """Population stability index over tenths of the scores before, less what chance makes of it."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = []
    for scores in (before, now):
        counts = np.bincount(np.searchsorted(edges, scores, "right"), minlength=len(edges) + 1)
        shares.append((counts + 0.5) / (len(scores) + 0.5 * len(counts)))
    expected, found = shares
    index = float(((found - expected) * np.log(found / expected)).sum())
    return index - len(edges) * (1 / len(before) + 1 / len(now))


def day_error(day: Ints, value: Floats) -> float | None:
    """Standard error of the mean of values, those of one day varying together; None on few days."""
    if len(day) == 0:
        return None
    _, place = np.unique(day, return_inverse=True)
    sums = np.bincount(place, value - value.mean())
    if len(sums) < LEAST_DAYS:
        return None
    return float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(day))


@dataclass(frozen=True)
class Comparison:
    """Champion, challenger and the champion recalibrated (its level and slope fitted anew), on
    lines whose outcomes none has learnt from.

    log_loss, roc_auc: of champion and challenger; gain, area_gain: of the challenger over the
    champion as it is; over_recalibrated: over the champion recalibrated; recalibration: of that
    over the champion as it is.
    """

    n: int
    log_loss: tuple[float, float]
    roc_auc: tuple[float, float]
    gain: Estimate
    area_gain: Estimate
    recalibrated_log_loss: float
    over_recalibrated: Estimate
    recalibration: Estimate

    def decision(self, rules: Rules) -> str:
        """A new model has to be worth more than two new numbers for the old one, and these more
        than nothing."""
        if rules.are_met(self.gain) and rules.are_met(self.over_recalibrated):
            return "promoted"
        return "recalibrated" if rules.are_met(self.recalibration) else "kept"


def compare(lines: Asked, champion: Floats, challenger: Floats, z: float) -> Comparison | None:
    """`champion` are the log-odds it says in use, `challenger` those of the new model before it is
    calibrated, which happens on these very lines, as does recalibration: so each half of the days
    is calibrated on the other. None where nothing can be told apart."""
    label = lines.label
    ranks = np.unique(lines.ordered_on, return_inverse=True)[1]
    halves = [ranks % 2 == 0, ranks % 2 == 1]
    if any(not 0 < label[half].sum() < half.sum() for half in halves):
        return None
    scores = []
    for margin in (challenger, champion):
        crossed = np.empty(len(label))
        for half, other in (halves, halves[::-1]):
            intercept, slope = evaluation.fit_sigmoid(margin[other], label[other])
            crossed[half] = intercept + slope * margin[half]
        scores.append(crossed)
    new, again = (loss(label, score) for score in scores)
    old = loss(label, champion)
    gains = [_mean(lines.ordered_on, gained, z) for gained in (old - new, again - new, old - again)]
    if None in gains:
        return None
    area, variance = return_evaluation.auc_gain(label, challenger, champion)
    width = z * float(np.sqrt(variance))
    return Comparison(
        n=len(label),
        log_loss=(float(old.mean()), float(new.mean())),
        roc_auc=tuple(evaluation.roc_auc(label, score)[0] for score in (champion, challenger)),
        gain=gains[0],
        area_gain=Estimate(area, area - width, area + width),
        recalibrated_log_loss=float(again.mean()),
        over_recalibrated=gains[1],
        recalibration=gains[2],
    )


def _mean(day: Ints, value: Floats, z: float) -> Estimate | None:
    """The mean and its interval; None on too few days."""
    error = day_error(day, value)
    if error is None:
        return None
    mean = float(value.mean())
    return Estimate(mean, mean - z * error, mean + z * error)


def loss(label: Ints, log_odds: Floats) -> Floats:
    """Log loss of each line, in nats."""
    return np.logaddexp(0.0, np.where(label == 1, -log_odds, log_odds))


def describe(
    records: Records,
    day: int,
    seen: Look,
    decision: str,
    *,
    reason: str | None = None,
    champion: str | None = None,
    challenger: str | None = None,
    recalibrated: str | None = None,
    slice_days: Sequence[int] = (),
    comparison: Comparison | None = None,
) -> None:
    """One decision as records: what was seen, who stood against whom, and what was decided."""
    where = {"trained_on": date.fromordinal(day)}

    def add(name: str, **values: object) -> None:
        records.add("promotion", "table", name, **values, **where)

    add("decision", detail=decision)
    add("outcomes", value=seen.outcomes)
    for name, text in (
        ("trigger", seen.trigger),
        ("reason", reason),
        ("champion", champion),
        ("challenger", challenger),
        ("recalibrated", recalibrated),
    ):
        if text:
            add(name, detail=text)
    if seen.calibration:
        add("observed_to_expected", **vars(seen.calibration))
    if seen.drift is not None:
        add("score_drift", value=seen.drift)
    if len(slice_days):
        for name, end in (("slice_from", min(slice_days)), ("slice_to", max(slice_days))):
            add(name, detail=date.fromordinal(int(end)).isoformat())
    if comparison:
        add("gain", **vars(comparison.gain), n=comparison.n)
        add("roc_auc_gain", **vars(comparison.area_gain))
        add("gain_over_recalibrated", **vars(comparison.over_recalibrated))
        add("recalibration_gain", **vars(comparison.recalibration))
        add("recalibrated_log_loss", value=comparison.recalibrated_log_loss)
        for place, model in enumerate(("champion", "challenger")):
            add(f"{model}_log_loss", value=comparison.log_loss[place])
            add(f"{model}_roc_auc", value=comparison.roc_auc[place])
