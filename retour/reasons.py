"""Why a line has its score, in words: order_return_reasons, for one line at a time without SQL.

`tests/test_service.py` holds the sentences against those of the SQL on a thousand lines.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ml.table_model import Feature

TOP = 3


class Wording:
    """The sentences of policy_reason_sentences, and what is too little to be named."""

    def __init__(
        self, features: Sequence[Mapping], sentences: Sequence[Mapping], *, least: float
    ) -> None:
        self.kinds = {row["feature"]: row["kind"] for row in features}
        self.sentences = {row["feature"]: row for row in sentences}
        self.least = least

    def reasons(
        self, line: Mapping[str, Any], features: Sequence[Feature], parts: Sequence[float]
    ) -> list[dict]:
        """The groups of features that speak most for a return. line["shop"] are the counters of
        the source before the day (HISTORY of retour.checkout)."""
        groups: dict[str, list[tuple[float, str]]] = {}
        for feature, part in zip(features, parts, strict=True):
            groups.setdefault(feature.group, []).append((part, feature.name))
        said = sorted(
            (
                (sum(part for part, _ in found), group, *max(found))
                for group, found in groups.items()
            ),
            reverse=True,
        )
        return [
            {
                "feature_group": "customer history" if group == "customer" else group,
                "feature": name,
                "value": self._value(name, line[name]),
                "contribution": total,
                "sentence": self._sentence(group, name, line),
            }
            for total, group, _, name in said[:TOP]
            if total > 0 and total >= self.least
        ]

    def _value(self, name: str, value: Any) -> str | None:
        if value is None or isinstance(value, str):
            return value
        if self.kinds.get(name) == "flag":
            return "true" if value else "false"
        return str(int(value)) if value == round(value) else _two_decimals(value)

    def _sentence(self, group: str, name: str, line: Mapping[str, Any]) -> str:
        value, lines = line[name], line["customer_lines_before"]
        returned = line["customer_returned_lines_before"]
        form = self.sentences.get(name, {})
        sentence = form.get("sentence")
        if group == "customer" and lines is None:
            return "An order of a guest: nothing is known of the customer"
        if (
            value is None
            or (self.kinds.get(name) == "flag" and not value)
            or (sentence and "{lines}" in sentence and not lines)
        ):
            return form.get("sentence_if_missing") or f"{name} is not known"
        shop = line["shop"]
        usual_percent = _whole(100 * shop[2] / shop[0]) if shop[0] else None
        usual_rating = _two_decimals(shop[5] / shop[4]) if shop[4] else None
        is_number = not isinstance(value, str)
        percent = _whole(100 * value) if is_number else None
        share = _whole(100 * returned / lines) if lines else None
        usual = usual_rating if name.endswith("_rating") else usual_percent
        if name.endswith("_rating"):
            is_unusual = usual is not None and float(_two_decimals(value)) < float(usual_rating)
        else:
            own = share if sentence and "{share}" in sentence else percent
            is_unusual = None not in (own, usual_percent) and own > usual_percent
        if sentence is None:
            sentence = f"{name} is {{value}}"
        elif form.get("sentence_if_usual") and not is_unusual:
            sentence = form["sentence_if_usual"]
        for place, text in {
            "value": self._value(name, value),
            "percent": percent,
            "usual": usual,
            "lines": lines,
            "returned": returned,
            "share": share,
        }.items():
            sentence = sentence.replace(f"{{{place}}}", "?" if text is None else str(text))
        return sentence


def _whole(value: float) -> int:
    """Halves away from zero, as SQL rounds."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _two_decimals(value: float) -> str:
    return f"{_whole(value * 100) / 100:.2f}"
