"""What the customers of one source will still buy and what it leaves: fits, test, tables for SQL.

The days of purchase follow BG/NBD or MBG/NBD, whichever is likelier; the margin of a purchase
follows Gamma-Gamma. Expectations are scaled by how the same model did on the last outcome that was
known: dropping out only after a purchase is a simplification, and its error lasts.
"""

from datetime import date
from typing import Any

import numpy as np

from ml import lifetime_value
from ml.evaluation import Floats, Records, on_one_thread
from ml.lifetime_value import BgNbd

FAMILIES = {0: "bg_nbd", 1: "mbg_nbd"}
# repeat purchases by the cut-off -> name of the bin
BINS = {"0": (0, 0), "1": (1, 1), "2": (2, 2), "3 to 4": (3, 4), "5 or more": (5, np.inf)}
MONTH_DAYS = 365.25 / 12


@on_one_thread
def learn(
    *,
    cells: dict[str, Any],
    margins: dict[str, Any],
    pairs: dict[str, Any],
    cut_offs: list[dict[str, Any]],
    policies: dict[str, int],
    z: float,
) -> Records:
    """Fit, test and tabulate.

    Args:
        cells: columns of int_purchase_cells of one source, as arrays.
        margins: columns of int_customer_margins of sampled customers who bought again.
        pairs: distinct repeat_count and tenure_days of all customers of today.
        cut_offs: rows of int_cut_offs.
        policies: policy_name -> value.
        z: normal quantile of the intervals.

    Returns:
        Records with the additional columns repeat_count and tenure_days.
    """
    records = Records(("repeat_count", "tenure_days"))
    days = np.array(cells["known_on"], dtype="datetime64[D]").astype(date)
    columns = {name: np.asarray(values, float) for name, values in _filled(cells).items()}
    today = next(row["known_on"] for row in cut_offs if row["is_current"])
    holdout = next((row for row in cut_offs if row["is_holdout"]), None)
    repeaters = columns["customer_count"][(days == today) & (columns["repeat_count"] > 0)].sum()
    if repeaters < policies["value_min_repeaters"]:
        for name, detail in {
            "status": "no model",
            "reason": f"{int(repeaters)} customers bought again, fewer than value_min_repeaters"
            f" ({policies['value_min_repeaters']})",
        }.items():
            records.add("run", "bg_nbd", name, trained_on=today, detail=detail)
        return records

    def at(day: date) -> dict[str, Floats]:
        return {name: values[days == day] for name, values in columns.items()}

    def fitted(day: date, first: int) -> BgNbd | None:
        cell = at(day)
        return lifetime_value.fit_bg_nbd(
            **_purchases(cell), weight=cell["customer_count"], first=first
        )

    # BG/NBD on every day that needs it: P(alive) is a baseline of churn
    plain = {day: fitted(day, 0) for day in sorted(set(days))}
    for day, found in plain.items():
        _describe(records, found, day, at(day))
    modified = fitted(today, 1)
    _describe(records, modified, today, at(today))
    used = max(plain[today], modified, key=lambda model: model.log_likelihood)
    family = FAMILIES[used.first]

    scale = 1.0
    if holdout:
        day, horizon = holdout["known_on"], float(holdout["holdout_days"])
        then = (plain.get if used.first == 0 else lambda day: fitted(day, 1))(day)
        if then:
            before = holdout["scaled_on"]
            earlier = before and (plain.get(before) if used.first == 0 else fitted(before, 1))
            old_scale = _actual_to_expected(earlier, at(before), horizon) if earlier else 1.0
            _test(records, family, then, at(day), day, horizon, old_scale, z)
            scale = _actual_to_expected(then, at(day), horizon)
    for kind in FAMILIES.values():
        chosen = kind == family
        for name, value in {
            "is_champion": float(chosen),
            "scale": scale if chosen else None,
        }.items():
            if value is not None:
                records.add("run", kind, name, trained_on=today, value=value)

    discount = 1 + policies["value_discount_percent"] / 100
    repeats = np.asarray(pairs["repeat_count"], float)
    age = np.asarray(pairs["tenure_days"], float)
    months = range(policies["value_horizon_months"] + 1)
    by_month = [
        lifetime_value.expected_if_alive(used, repeats=repeats, age=age, horizon=k * MONTH_DAYS)
        for k in months
    ]
    discounted = sum(
        (by_month[k] - by_month[k - 1]) * discount ** (-(k - 0.5) / 12) for k in months[1:]
    )
    for x, t, whole, worth in zip(repeats, age, by_month[-1], discounted, strict=True):
        records.add(
            *("expectation", family, "purchases"),
            trained_on=today,
            value=whole * scale,
            hi=worth * scale,
            repeat_count=int(x),
            tenure_days=int(t),
        )
    _fit_margins(records, margins, today)
    return records


def _filled(columns: dict[str, Any]) -> dict[str, Any]:
    """Masked values (outcomes that are not known yet) become NaN."""
    return {
        name: np.ma.filled(np.ma.asarray(values).astype(float), np.nan)
        for name, values in columns.items()
        if name not in ("source", "known_on")
    }


def _purchases(cell: dict[str, Floats]) -> dict[str, Floats]:
    return {
        "repeats": cell["repeat_count"],
        "last": cell["last_repeat_days"],
        "age": cell["tenure_days"],
    }


def _describe(records: Records, model: BgNbd | None, day: date, cell: dict[str, Floats]) -> None:
    """Parameters and size of one fit; nothing where nobody bought again by then."""
    if model is None:
        return
    kind = FAMILIES[model.first]
    for name in ("r", "alpha", "a", "b", "first", "log_likelihood"):
        records.add("parameter", kind, name, trained_on=day, value=getattr(model, name))
    said = ", ".join(f"{name} = {getattr(model, name):.6g}" for name in ("r", "alpha", "a", "b"))
    records.add("run", kind, "parameters", trained_on=day, detail=said)
    facts = {
        "fit_rows": cell["customer_count"].sum(),
        "fit_positives": cell["customer_count"][cell["repeat_count"] > 0].sum(),
    }
    for name, value in facts.items():
        records.add("run", kind, name, trained_on=day, value=value)
    records.add("run", kind, "status", trained_on=day, detail="fitted")


def _expected(model: BgNbd, cell: dict[str, Floats], horizon: float) -> Floats:
    """Expected purchases of one customer of each cell."""
    purchases = _purchases(cell)
    alive = lifetime_value.probability_alive(model, **purchases)
    del purchases["last"]
    return alive * lifetime_value.expected_if_alive(model, **purchases, horizon=horizon)


def _actual_to_expected(model: BgNbd, cell: dict[str, Floats], horizon: float) -> float:
    expected = _expected(model, cell, horizon) @ cell["customer_count"]
    actual = cell["holdout_purchase_days"].sum()
    return float(actual / expected) if actual > 0 and expected > 0 else 1.0


def _test(
    records: Records,
    family: str,
    model: BgNbd,
    cell: dict[str, Floats],
    day: date,
    horizon: float,
    scale: float,
    z: float,
) -> None:
    """Expected against actual purchases of the hold-out, by frequency and in total."""
    unscaled = _expected(model, cell, horizon)
    candidates = {
        family: unscaled * scale,
        f"{family}_unscaled": unscaled,
        # who bought so often so far goes on like that
        "past_rate": cell["repeat_count"] / np.maximum(cell["tenure_days"], 1) * horizon,
    }
    bins = {"all": (0, np.inf)} | BINS
    # as the one test of the model, and as that of this day
    for kind, expected, tested_on in [
        (kind, expected, tested_on)
        for kind, expected in candidates.items()
        for tested_on in (None, day)
    ]:
        for name, (low, high) in bins.items():
            inside = (cell["repeat_count"] >= low) & (cell["repeat_count"] <= high)
            n = cell["customer_count"][inside].sum()
            if n == 0:
                continue
            actual = cell["holdout_purchase_days"][inside].sum()
            each = expected[inside]
            total = each @ cell["customer_count"][inside]
            # of customers around their expectation
            squares = (
                cell["squared_holdout_purchase_days"][inside]
                - 2 * each * cell["holdout_purchase_days"][inside]
                + cell["customer_count"][inside] * each**2
            ).sum()
            where = {
                "trained_on": day,
                "tested_on": tested_on,
                "slice_type": "all" if name == "all" else "repeat_purchases",
                "slice_id": name,
                "n": int(n),
            }
            records.add("metric", kind, "expected_purchases", value=total, **where)
            records.add("metric", kind, "actual_purchases", value=actual, **where)
            records.add("metric", kind, "rmse", value=np.sqrt(squares / n), **where)
            if actual > 0:
                ratio, half = total / actual, z * np.sqrt(squares) / actual
                records.add(
                    *("metric", kind, "expected_to_actual"),
                    value=ratio,
                    lo=ratio - half,
                    hi=ratio + half,
                    **where,
                )


def _fit_margins(records: Records, margins: dict[str, Any], today: date) -> None:
    """Gamma-Gamma on the mean margin of repeat purchases, before and after returns."""
    repeats = np.asarray(margins["repeat_count"], float)
    for name in ("before", "after"):
        kind = f"gamma_gamma_{name}"
        value = np.asarray(margins[f"repeat_margin_{name}"], float) / np.maximum(repeats, 1)
        positive = value > 0
        model = lifetime_value.fit_gamma_gamma(
            repeats=repeats[positive], value=value[positive], weight=np.ones(positive.sum())
        )
        status = "fitted"
        if model:
            said = ", ".join(f"{name} = {getattr(model, name):.6g}" for name in ("p", "q", "v"))
            records.add("run", kind, "parameters", trained_on=today, detail=said)
            for parameter in ("p", "q", "v"):
                records.add(
                    *("parameter", kind, parameter),
                    trained_on=today,
                    value=getattr(model, parameter),
                )
        else:
            status = "no model"
            records.add(
                *("run", kind, "reason"),
                trained_on=today,
                detail=f"{int(positive.sum())} customers with a positive margin do not determine"
                " it; the mean margin of a repeat purchase stands in",
            )
        mean = (value * repeats).sum() / repeats.sum()
        records.add("parameter", kind, "mean", trained_on=today, value=mean)
        records.add("run", kind, "fit_rows", trained_on=today, value=float(positive.sum()))
        records.add("run", kind, "status", trained_on=today, detail=status)
        if positive.sum() > 2 and np.ptp(repeats[positive]) > 0 and np.ptp(value[positive]) > 0:
            records.add(
                *("metric", kind, "correlation_of_repeats_and_value"),
                value=np.corrcoef(repeats[positive], np.log(value[positive]))[0, 1],
                n=int(positive.sum()),
                trained_on=today,
                slice_type="all",
                slice_id="all",
            )
