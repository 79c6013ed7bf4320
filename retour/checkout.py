"""Scores of one basket in a millisecond: what `retour.scoring` says, without planning any SQL.

DuckDB plans the models of a build anew for every request, which takes longer than a checkout waits.
So the plain case is said once more here: one day, Latin letters, the source's own currency, nothing
that policies exclude. Whatever else comes, and everything that is wrong, goes through the SQL
(`score` gives None). `tests/test_service.py` holds both against each other on a thousand lines, to
1e-12: change one and the test names the other.
"""

import math
import sqlite3
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from ml.table_model import TableModel
from retour.reasons import Wording
from retour.scoring import Scorer, rows

SCALE = 10_000  # amounts are whole numbers of the fourth decimal, as DECIMAL(18, 4) is
LARGEST = 10**15
EPOCH = date(1970, 1, 1)
HISTORY = (
    "line_count, order_count, returned_line_count, price_total, rating_count, rating_total,"
    " delivered_count, late_count, first_order_date, last_order_date, last_return_date"
)
NOTHING = (0, 0, 0, 0.0, 0, 0.0, 0, 0, None, None, None)
TEXTS = (
    *("order_line_id", "order_id", "customer_id", "product_id", "seller_id", "marketplace"),
    *("category", "brand", "size", "colour", "country", "payment_method", "channel"),
    *("customer_type", "currency"),
)


# letters of Latin alphabets whose cases are one letter each: of these Python and DuckDB agree
LETTERS = frozenset(
    letter
    for letter in map(chr, range(0x20, 0x250))
    if letter.isprintable() and len(letter.upper()) == len(letter.lower()) == 1
)


class NotPlain(Exception):
    """Not a case for this module."""


class Checkout:
    """Scores baskets with what a Scorer has read; for one thread at a time."""

    def __init__(self, scorer: Scorer) -> None:
        self.model = _Lookup(scorer.version.model)
        self.has_rival = scorer.version.rival is not None
        self.version = scorer.version.name
        self.source = scorer.publication.source
        self.first_day = scorer.publication.as_of_date
        execute = scorer.connection.execute

        def column(query: str) -> list:
            return [value for (value,) in execute(query).fetchall()]

        self.guests = set(column("select guest_id from policy_guest_ids"))
        self.excluded = {
            (field, id_)
            for field, id_, by in execute(
                "select field, id, excluded_by from int_ids_excluded"
            ).fetchall()
            if by is not None
        }
        self.currency = next(
            iter(column("select reporting_currency from int_source_currencies")), None
        )
        self.policies = {
            name: int(value)
            for name, value in execute(
                "select policy_name, value from policy_parameters"
            ).fetchall()
            if name.endswith(("_prior_lines", "_prior_reviews", "_risk_percent"))
        }
        self.has_signal = column("select coalesce(max(value) = 1, false) from ml_return_models")[0]
        self.actions = rows(scorer.connection, "select * from return_actions order by rule_number")
        self.rates = {
            (row["marketplace"], row["category"]): row
            for row in rows(scorer.connection, "select * from return_cost_rates")
        }
        self.wording = Wording(
            rows(scorer.connection, "select * from policy_model_features"),
            rows(scorer.connection, "select * from policy_reason_sentences"),
            least=next(
                value
                for (value,) in execute(
                    "select value from policy_parameters"
                    " where policy_name = 'reason_least_permille'"
                ).fetchall()
            )
            / 1000,
        )
        self.waiting: dict[tuple[str, str], list[tuple]] = {}
        for entity_type, entity_id, *change in execute(
            "select entity_type, entity_id, day_no, line_count, price_total, returned_line_count"
            " from waiting order by day_no"
        ).fetchall():
            self.waiting.setdefault((entity_type, entity_id), []).append(tuple(change))
        # millions of entities in little memory, found in microseconds
        self.memory = sqlite3.connect(":memory:", check_same_thread=False)
        self.memory.execute(
            f"create table history (entity_type, entity_id, {HISTORY},"
            " primary key (entity_type, entity_id)) without rowid"
        )
        self._copy(
            scorer,
            "select entity_type, entity_id, line_count, order_count, returned_line_count,"
            " cast(price_total * 10000 as bigint), rating_count,"
            " cast(rating_total as double), delivered_count, late_count,"
            " date_diff('day', date '1970-01-01', first_order_date),"
            " date_diff('day', date '1970-01-01', last_order_date),"
            " date_diff('day', date '1970-01-01', last_return_date) from entity_history",
            "history",
            13,
        )
        self.memory.execute(
            "create table products (product_id primary key, category, brand, unit_cost)"
        )
        self._copy(
            scorer,
            "select product_id, category, brand, cast(unit_cost as double)"
            " from int_products_deduplicated",
            "products",
            4,
        )

    def _copy(self, scorer: Scorer, query: str, table: str, width: int) -> None:
        found = scorer.connection.execute(query)
        marks = ", ".join("?" * width)
        while batch := found.fetchmany(50_000):
            self.memory.executemany(f"insert into {table} values ({marks})", batch)

    # --- one request ---------------------------------------------------------------------------

    def score(self, given: Sequence[Mapping[str, Any]]) -> list[dict] | None:
        """Scores in the order of the lines; None if SQL has to say, or a model that is no table."""
        if self.has_rival:
            return None
        try:
            return [self._scored(line) for line in self.features(given)]
        except NotPlain:
            return None

    def features(self, given: Sequence[Mapping[str, Any]]) -> list[dict]:
        """The columns of return_features that models read. Raises NotPlain."""
        lines = [self._read(line) for line in given]
        if len({line["order_line_id"] for line in lines}) < len(lines):
            raise NotPlain
        if len({line["day"] for line in lines}) != 1:
            raise NotPlain
        for line in lines:
            self._look_back(line)
        for line in lines:
            basket = [other for other in lines if other["order_id"] == line["order_id"]]
            self._look_aside(line, basket)
        return lines

    def _read(self, given: Mapping[str, Any]) -> dict:
        """A line as staging and screening leave it."""
        line: dict[str, Any] = {}
        for name in TEXTS:
            text = given.get(name)
            if text is not None and not (isinstance(text, str) and LETTERS.issuperset(text)):
                raise NotPlain
            line[name] = text.strip(" ") or None if text else None
        for name in ("order_line_id", "order_id", "customer_id", "product_id", "seller_id"):
            line[name] = line[name].upper() if line[name] else None
        for name in ("marketplace", "category", "channel", "payment_method", "customer_type"):
            line[name] = line[name].lower() if line[name] else None
        for name in ("marketplace", "category", "country"):
            if (line[name] or "").lower() in ("unknown", "*", "all", "(small)"):
                raise NotPlain
        line["colour"] = line["colour"].lower() if line["colour"] else None
        for name in ("order_line_id", "order_id", "product_id"):
            if not line[name]:
                raise NotPlain
        if (line["currency"] or self.currency or "").upper() != self.currency:
            raise NotPlain
        for key in (("product_id", line["product_id"]), ("order_id", line["order_id"])):
            if key in self.excluded:
                raise NotPlain
        if line["customer_id"] and line["customer_id"].lower() in self.guests:
            line["customer_id"] = None
        moment = given.get("ordered_at")
        if not isinstance(moment, datetime) or moment.tzinfo is not None:
            raise NotPlain
        line["moment"], line["day"] = moment, (moment.date() - EPOCH).days
        if moment.date() <= self.first_day:
            raise NotPlain
        quantity = given.get("quantity")
        if not isinstance(quantity, int) or not 0 < quantity < 2**31:
            raise NotPlain
        line["quantity"] = quantity
        line["price"] = _amount(given.get("unit_price"))
        line["discount"] = _amount(given.get("discount_amount") or 0)
        if _amount(given.get("tax_amount") or 0) + _amount(given.get("shipping_amount") or 0) < 0:
            raise NotPlain
        line["amount"] = quantity * line["price"] - line["discount"]
        if not 0 <= line["amount"] < LARGEST:
            raise NotPlain
        return line

    def _look_back(self, line: dict) -> None:
        """What was known of everybody and everything in the line the day before."""
        prior = self.policies
        found = self.memory.execute(
            "select category, brand, unit_cost from products where product_id = ?",
            [line["product_id"]],
        ).fetchone()
        category, brand, line["unit_cost"] = found or (None, None, None)
        line["category"] = line["category"] or category
        line["brand"] = line["brand"] or brand
        day = line["day"]
        source = self._history("source", "all", day)
        customer, product, seller, of_category, of_brand = (
            self._history(name, line[column], day) if line[column] else NOTHING
            for name, column in (
                ("customer", "customer_id"),
                ("product", "product_id"),
                ("seller", "seller_id"),
                ("category", "category"),
                ("brand", "brand"),
            )
        )
        usual = source[2] / source[0] if source[2] > 0 else None
        line["shop"] = source
        usual_rating = source[5] / source[4] if source[4] else None
        usual_late = source[7] / source[6] if source[6] else None

        def rate(history: tuple, expected: float | None, policy: str) -> float | None:
            return _smoothed(history[2], history[0], expected, prior[policy])

        def rating(history: tuple) -> float | None:
            return _smoothed(history[5], history[4], usual_rating, prior["rating_prior_reviews"])

        def since(history: tuple, position: int) -> int | None:
            return None if history[position] is None else day - history[position]

        is_known, has_seller = line["customer_id"] is not None, line["seller_id"] is not None
        category_rate = (
            rate(of_category, usual, "category_prior_lines") if line["category"] else None
        )
        above = usual if category_rate is None else category_rate
        line.update(
            is_guest=not is_known,
            customer_orders_before=customer[1] if is_known else None,
            customer_lines_before=customer[0] if is_known else None,
            customer_returned_lines_before=customer[2] if is_known else None,
            customer_return_rate=(
                rate(customer, usual, "customer_prior_lines") if is_known else None
            ),
            customer_days_since_first_order=since(customer, 8),
            customer_days_since_order=since(customer, 9),
            customer_days_since_return=since(customer, 10),
            customer_rating=rating(customer) if is_known else None,
            product_lines_before=product[0],
            product_return_rate=rate(product, above, "product_prior_lines"),
            product_days_since_first_sale=since(product, 8),
            product_rating=rating(product),
            category_return_rate=category_rate,
            brand_return_rate=(
                rate(of_brand, usual, "brand_prior_lines") if line["brand"] else None
            ),
            seller_lines_before=seller[0] if has_seller else None,
            seller_return_rate=rate(seller, usual, "seller_prior_lines") if has_seller else None,
            seller_rating=rating(seller) if has_seller else None,
            seller_late_share=(
                _smoothed(seller[7], seller[6], usual_late, prior["seller_prior_lines"])
                if has_seller
                else None
            ),
            price_to_product=_price_to(line["price"], product),
            price_to_category=_price_to(line["price"], of_category),
            price_to_customer=_price_to(line["price"], customer),
        )

    def _history(self, entity_type: str, entity_id: str, day: int) -> tuple:
        found = self.memory.execute(
            f"select {HISTORY} from history where entity_type = ? and entity_id = ?",
            [entity_type, entity_id],
        ).fetchone()
        values = list(found or NOTHING)
        values[:8] = [value or 0 for value in values[:8]]
        for known_on, lines, price, returned in self.waiting.get((entity_type, entity_id), ()):
            if known_on < day:
                values[0] += int(lines)
                values[2] += int(returned)
                values[3] += int(price * SCALE)
                if returned > 0:
                    values[10] = max(values[10] or known_on, known_on)
        values[3] = values[3] / SCALE
        return tuple(values)

    def _look_aside(self, line: dict, basket: Sequence[dict]) -> None:
        """The line beside what is ordered with it, and what it says itself."""
        alike = [other for other in basket if other["product_id"] == line["product_id"]]
        variants = {f"{other['size'] or ''}/{other['colour'] or ''}" for other in alike}
        value, amount = (
            sum(other["amount"] for other in basket) / SCALE,
            line["amount"] / SCALE,
        )
        discount, moment = line["discount"] / SCALE, line["moment"]
        same_category = sum(other["category"] == line["category"] for other in basket)
        line.update(
            basket_lines=len(basket),
            basket_units=sum(other["quantity"] for other in basket),
            basket_value=value,
            basket_share=amount / value if value else None,
            same_product_lines=len(alike),
            same_product_variants=len(variants),
            same_category_lines=same_category if line["category"] else None,
            unit_price=line["price"] / SCALE,
            discount_share=discount / (amount + discount) if amount + discount else None,
            order_month=moment.month,
            order_weekday=moment.isoweekday(),
            is_weekend=moment.isoweekday() >= 6,
            order_hour=None
            if moment == datetime.combine(moment, datetime.min.time())
            else moment.hour,
            has_size=line["size"] is not None,
            ordered_amount=amount,
        )

    # --- the model and the rule ----------------------------------------------------------------

    def _scored(self, line: dict) -> dict:
        bins = self.model.bins(line)
        log_odds = self.model.margin(bins)
        probability = 1 / (1 + math.exp(-log_odds))
        percent = 100 * probability
        band = (
            "no signal" if not self.has_signal
            else "high" if percent >= self.policies["return_high_risk_percent"]
            else "medium" if percent >= self.policies["return_medium_risk_percent"]
            else "low"
        )  # fmt: skip
        cost, action, stage, gain = self._decided(line, probability)
        reasons = self.wording.reasons(line, self.model.features, self.model.contributions(bins))
        return {
            "order_line_id": line["order_line_id"],
            "return_probability": probability,
            "risk_band": band,
            "expected_cost": cost,
            "recommended_action": action,
            "action_stage": stage,
            "expected_gain": gain,
            "model_version": self.version,
            "log_odds": log_odds,
            "base": self.model.intercept,
            "rest": log_odds
            - self.model.intercept
            - sum(reason["contribution"] for reason in reasons),
            "reasons": reasons,
        }

    def _decided(
        self, line: dict, probability: float
    ) -> tuple[Decimal | None, str, str | None, Decimal]:
        """Expected cost, what to do and until when, and its gain: macros/decisions.sql."""
        anywhere = self.rates.get(("*", "*"), {})
        place = self.rates.get(
            (line["marketplace"] or "unknown", line["category"] or "unknown"), {}
        )
        amount, quantity = line["ordered_amount"], line["quantity"]
        rates = [
            anywhere.get(name) if place.get(name) is None else place[name]
            for name in ("per_line", "per_unit", "refund_share")
        ]
        loss = None
        if None not in rates:
            per_line, per_unit, refund = map(float, rates)
            loss = _rounded(per_line + per_unit * quantity + refund * amount)
        usual = anywhere.get("usual_margin_share")
        if line["unit_cost"] is not None:
            margin = amount - quantity * line["unit_cost"]
        else:
            margin = 0.0 if usual is None else amount * usual
        margin = _rounded(max(margin, 0.0))
        best, best_gain = None, -math.inf
        for rule in self.actions if loss is not None else ():
            if self._applies(rule, line, anywhere.get("currency")):
                gain = (
                    probability * rule["prevented_share"] * loss
                    - (1 - probability) * rule["lost_sale_share"] * margin
                    - float(rule["action_cost"])
                )
                if gain > best_gain:
                    best, best_gain = rule, gain
        gain = _rounded(best_gain) if best else 0.0
        least = float(best["least_gain"]) if best else 0.0
        cost = None if loss is None else _decimal(probability * loss)
        if self.has_signal and gain > 0 and gain >= least:
            return cost, str(best["action"]), str(best["stage"]), _decimal(gain)
        return cost, "ship", None, Decimal("0.0000")

    @staticmethod
    def _applies(rule: Mapping[str, Any], line: Mapping[str, Any], currency: str | None) -> bool:
        if rule["feature"] != "*":
            value = line.get(rule["feature"])
            if value is None or not float(value) >= float(rule["at_least"]):
                return False
        return all(
            allowed == "*" or f"|{value or ''}|" in f"|{allowed}|"
            for allowed, value in (
                (rule["categories"], line["category"]),
                (rule["payment_methods"], line["payment_method"]),
            )
        ) and rule["currency"] in ("*", currency)


class _Lookup:
    """A table model as lists and dictionaries: faster than arrays for a handful of lines."""

    def __init__(self, model: TableModel) -> None:
        self.intercept = model.intercept
        self.features = model.features
        self.places = [
            (feature.name, feature.kind == "categorical", edges.tolist(), places, scores.tolist())
            for feature, edges, places, scores in zip(
                model.features,
                model.edges,
                [{name: i for i, name in enumerate(names, 1)} for names in model.categories],
                model.scores,
                strict=True,
            )
        ]
        self.pairs = [(a, b, table.tolist()) for (a, b), table in model.pairs.items()]

    def bins(self, line: Mapping[str, Any]) -> list[int]:
        found = []
        for name, is_categorical, edges, places, _ in self.places:
            value = line[name]
            if value is None:
                place = 0
            elif is_categorical:
                place = places.get(value, len(places) + 1)
            else:
                place = bisect_left(edges, float(value)) + 1
            found.append(place)
        return found

    def margin(self, bins: Sequence[int]) -> float:
        margin = self.intercept
        for place, (*_, scores) in zip(bins, self.places, strict=True):
            margin += scores[place]
        for a, b, table in self.pairs:
            margin += table[bins[a]][bins[b]]
        return margin

    def contributions(self, bins: Sequence[int]) -> list[float]:
        """What each feature adds; a pair's score counts half for each of its features."""
        parts = [scores[place] for place, (*_, scores) in zip(bins, self.places, strict=True)]
        for a, b, table in self.pairs:
            half = table[bins[a]][bins[b]] / 2
            parts[a] += half
            parts[b] += half
        return parts


def _amount(value: Any) -> int:
    """An amount of at most four decimals, in the fourth one. Raises NotPlain."""
    try:
        scaled = Decimal(str(value)) * SCALE
    except (InvalidOperation, ValueError):
        raise NotPlain from None
    if not scaled.is_finite() or not 0 <= scaled < LARGEST or scaled != int(scaled):
        raise NotPlain
    return int(scaled)


def _smoothed(total: float, count: int, prior: float | None, weight: int) -> float | None:
    return None if prior is None else (float(total) + weight * prior) / (count + weight)


def _price_to(price: int, history: tuple) -> float | None:
    mean = history[3] / history[0] if history[0] else 0
    return price / SCALE / mean if mean else None


def _rounded(value: float) -> float:
    """To four decimals as SQL does: halves away from zero."""
    scaled = abs(value) * SCALE
    whole = math.floor(scaled)
    return math.copysign((whole + (scaled - whole >= 0.5)) / SCALE, value)


def _decimal(value: float) -> Decimal:
    return Decimal(str(_rounded(value))).quantize(Decimal("0.0001"))
