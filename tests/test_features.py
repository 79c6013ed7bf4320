"""marts.return_features: equal to a slow replay, and blind to everything that came later.

The replay asks for each line what had happened by the day before it, event by event, from the
ledger and from the reviews as delivered. Truncation cuts the raw files at a day and builds them
again: what was known before that day must not change by a bit.
"""

import csv
import datetime as dt
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from ml import return_models
from ml.table_model import Feature
from tests import support
from tests.support import Build

Connection = duckdb.DuckDBPyConnection

POLICY = support.ROOT / "dbt_project" / "seeds" / "policy"
RETURN_WINDOW = dt.timedelta(days=60)
ENTITIES = {
    "customer": "customer_id",
    "product": "product_id",
    "seller": "seller_id",
    "category": "category",
    "brand": "brand",
}
# known only after the order: they change when the order is delivered
FULFILMENT = ("delivery_days", "days_late", "is_late")
CUT = dt.date(2026, 3, 15)


def rows(connection: Connection, query: str, *parameters: object) -> list[dict]:
    """The rows of a query as dictionaries."""
    result = connection.execute(query, parameters)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def weight(name: str) -> int:
    """A number of policy_parameters."""
    with (POLICY / "policy_parameters.csv").open(encoding="utf-8", newline="") as file:
        return next(int(row["value"]) for row in csv.DictReader(file) if row["policy_name"] == name)


def features_of(feature_set: str | None = None) -> list[str]:
    """The features of policy_model_features."""
    with (POLICY / "policy_model_features.csv").open(encoding="utf-8", newline="") as file:
        return [
            row["feature"]
            for row in csv.DictReader(file)
            if feature_set in (None, row["feature_set"])
        ]


class Counters:
    """What one entity had behind it."""

    def __init__(self) -> None:
        self.lines = self.orders = self.returned = self.ratings = 0
        self.delivered = self.late = 0
        self.price = self.stars = 0.0
        self.first_order: dt.date | None = None
        self.last_order: dt.date | None = None
        self.last_return: dt.date | None = None


# what happened to an entity: the day, the kind, and a number
Event = tuple[dt.date, str, float]


def count(events: list[Event], before: dt.date) -> Counters:
    """The counters of an entity on the morning of a day."""
    found = Counters()
    prices, stars = [], []
    for day, kind, number in events:
        if day >= before:
            continue
        if kind == "line":
            found.lines += 1
            prices.append(number)
            found.first_order = min(day, found.first_order or day)
            found.last_order = max(day, found.last_order or day)
        elif kind == "gone":
            found.lines -= 1
            prices.append(-number)
        elif kind == "order":
            found.orders += 1
        elif kind == "return":
            found.returned += 1
            found.last_return = max(day, found.last_return or day)
        elif kind == "rating":
            found.ratings += 1
            stars.append(number)
        elif kind == "delivery":
            found.delivered += 1
            found.late += number > 0
    found.price, found.stars = sum(prices), sum(stars)
    return found


def history_features(line: dict, known: dict[str, Counters]) -> dict[str, object]:
    """The features that come from histories, by their definition."""
    source = known["source"]
    usual_rate = source.returned / source.lines if source.returned else None
    usual_stars = source.stars / source.ratings if source.ratings else None
    usual_late = source.late / source.delivered if source.delivered else None

    def held(total: float, number: float, prior: float | None, name: str) -> float | None:
        if prior is None:
            return None
        return (total + weight(name) * prior) / (number + weight(name))

    def rate(kind: str, prior: float | None) -> float | None:
        if kind not in known:
            return None
        return held(known[kind].returned, known[kind].lines, prior, f"{kind}_prior_lines")

    def rating(kind: str) -> float | None:
        if kind not in known:
            return None
        own = known[kind]
        return held(own.stars, own.ratings, usual_stars, "rating_prior_reviews")

    def price(kind: str) -> float | None:
        own = known.get(kind)
        if not own or not own.lines or abs(own.price) < 1e-9:
            return None
        return float(line["unit_price"]) / (own.price / own.lines)

    def days(since: dt.date | None) -> int | None:
        return (line["ordered_date"] - since).days if since else None

    customer, seller = known.get("customer"), known.get("seller")
    category_rate = rate("category", usual_rate)
    return {
        "customer_orders_before": customer and customer.orders,
        "customer_lines_before": customer and customer.lines,
        "customer_returned_lines_before": customer and customer.returned,
        "customer_return_rate": rate("customer", usual_rate),
        "customer_days_since_first_order": customer and days(customer.first_order),
        "customer_days_since_order": customer and days(customer.last_order),
        "customer_days_since_return": customer and days(customer.last_return),
        "customer_rating": rating("customer"),
        "product_lines_before": known["product"].lines,
        "product_return_rate": rate(
            "product", usual_rate if category_rate is None else category_rate
        ),
        "product_days_since_first_sale": days(known["product"].first_order),
        "product_rating": rating("product"),
        "category_return_rate": category_rate,
        "brand_return_rate": rate("brand", usual_rate),
        "seller_lines_before": seller and seller.lines,
        "seller_return_rate": rate("seller", usual_rate),
        "seller_rating": rating("seller"),
        "seller_late_share": seller
        and held(seller.late, seller.delivered, usual_late, "seller_prior_lines"),
        "price_to_product": price("product"),
        "price_to_category": price("category"),
        "price_to_customer": price("customer"),
    }


def line_features(line: dict, basket: list[dict]) -> dict[str, object]:
    """The features that the line and its order tell themselves."""

    def same(column: str) -> list[dict]:
        return [other for other in basket if other[column] == line[column]]

    value = float(sum(other["ordered_amount"] for other in basket))
    gross = float(line["ordered_amount"] + line["discount_amount"])
    ordered_at = line["ordered_at"]
    day = line["ordered_date"]
    delivered, promised = line["delivered_at"], line["promised_at"]
    return {
        "is_guest": line["customer_id"] is None,
        "customer_type": line["customer_type"],
        "category": line["category"],
        "marketplace": line["marketplace"],
        "country": line["country"],
        "channel": line["channel"],
        "payment_method": line["payment_method"],
        "basket_lines": len(basket),
        "basket_units": sum(other["ordered_quantity"] for other in basket),
        "basket_value": value,
        "basket_share": float(line["ordered_amount"]) / value if value else None,
        "same_product_lines": len(same("product_id")),
        "same_product_variants": len(
            {(other["size"] or "", other["colour"] or "") for other in same("product_id")}
        ),
        "same_category_lines": len(same("category")) if line["category"] else None,
        "quantity": line["ordered_quantity"],
        "unit_price": float(line["unit_price"]),
        "discount_share": float(line["discount_amount"]) / gross if gross else None,
        "order_month": day.month,
        "order_weekday": day.isoweekday(),
        "is_weekend": day.isoweekday() >= 6,
        "order_hour": ordered_at.hour if ordered_at.time() != dt.time() else None,
        "promised_days": (promised.date() - day).days if promised else None,
        "delivery_days": (delivered.date() - day).days if delivered else None,
        "days_late": (delivered.date() - promised.date()).days if delivered and promised else None,
        "is_late": delivered > promised if delivered and promised else None,
    }


def delivered_reviews(folder: Path) -> Iterator[dict]:
    """The usable rows of reviews.csv, with a rating of 1 to 5 and a day; ids in upper case."""
    file = folder / "reviews.csv"
    if not file.exists():
        return
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            try:
                row["rating"] = float(row["rating"])
                row["day"] = dt.datetime.fromisoformat(row["reviewed_at"]).date()
            except ValueError:
                continue
            if 1 <= row["rating"] <= 5:
                yield {
                    name: (value.strip().upper() or None) if isinstance(value, str) else value
                    for name, value in row.items()
                }


class Replay:
    """Everything that happened to everybody, from the ledger and the delivered reviews."""

    def __init__(self, connection: Connection, source: str, raw: Path | None = None) -> None:
        self.lines = rows(connection, "select * from marts.order_lines where source = ?", source)
        self.by_id = {line["order_line_id"]: line for line in self.lines}
        self.baskets: dict[tuple, list[dict]] = defaultdict(list)
        self.events: dict[tuple[str, str], list[Event]] = defaultdict(list)
        self.as_of_date = self.lines[0]["as_of_date"]
        for line in self.lines:
            self.baskets[line["order_id"], line["ordered_date"]].append(line)
        self._count_lines()
        self._count_returns(connection, source)
        if raw:
            self._count_reviews(raw)

    def add(self, line: dict, day: dt.date | None, kind: str, number: float = 0) -> None:
        """An event of whoever and whatever the line names."""
        if day is None or day > self.as_of_date:
            return
        self.events["source", "all"].append((day, kind, number))
        for entity, column in ENTITIES.items():
            if line.get(column) is not None:
                self.events[entity, line[column]].append((day, kind, number))

    def _count_lines(self) -> None:
        first = {min(line["order_line_id"] for line in basket) for basket in self.baskets.values()}
        for line in self.lines:
            day, price = line["ordered_date"], float(line["unit_price"])
            self.add(line, day, "line", price)
            if line["order_line_id"] in first:
                self.add(line, day, "order")
            if line["cancelled_at"]:
                self.add(line, max(day, line["cancelled_at"].date()), "gone", price)
            elif not line["is_sale"]:
                self.add(line, day + RETURN_WINDOW, "gone", price)
            if line["delivered_at"] and line["promised_at"]:
                late = line["delivered_at"] > line["promised_at"]
                self.add(line, line["delivered_at"].date(), "delivery", late)

    def _count_returns(self, connection: Connection, source: str) -> None:
        dated, undated = {}, set()
        for event in rows(
            connection,
            "select * from marts.returns where source = ? and order_line_id is not null",
            source,
        ):
            line_id = event["order_line_id"]
            if event["returned_at"]:
                day = event["returned_at"].date()
                dated[line_id] = min(day, dated.get(line_id, day))
            elif event["match_method"] in ("order_line", "line_status"):
                undated.add(line_id)
        for line_id in undated - set(dated):
            dated[line_id] = self.by_id[line_id]["ordered_date"] + RETURN_WINDOW
        for line_id, day in dated.items():
            self.add(self.by_id[line_id], day, "return")

    def _count_reviews(self, raw: Path) -> None:
        by_order = defaultdict(list)
        for line in self.lines:
            by_order[line["order_id"]].append(line)
        for review in delivered_reviews(raw):
            if review["order_line_id"]:
                named = [self.by_id.get(review["order_line_id"])]
            else:
                named = by_order.get(review["order_id"], [])
            named = [
                line
                for line in named
                if line
                and line["ordered_date"] <= review["day"]
                and review["product_id"] in (None, line["product_id"])
            ]
            about = {}
            for column in ("customer_id", "product_id", "seller_id"):
                said = {line[column] for line in named if line[column] is not None}
                agreed = said.pop() if len(said) == 1 else None
                about[column] = review[column] or agreed
            self.add(about, review["day"], "rating", review["rating"])

    def features(self, line: dict) -> dict[str, object]:
        """All features of one line."""
        keys = {"source": "all"} | {
            entity: line[column] for entity, column in ENTITIES.items() if line[column] is not None
        }
        known = {
            entity: count(self.events[entity, key], line["ordered_date"])
            for entity, key in keys.items()
        }
        basket = self.baskets[line["order_id"], line["ordered_date"]]
        return history_features(line, known) | line_features(line, basket)


def sample(connection: Connection, source: str, size: int) -> list[dict]:
    """Random rows of return_features, the same in every run."""
    return rows(
        connection,
        "select * from marts.return_features where source = ?"
        " order by md5(order_line_id), order_line_id limit ?",
        source,
        size,
    )


def assert_equal(found: dict, expected: dict[str, object]) -> None:
    """Every feature is the expected one, numbers to 1e-9 of their size."""
    for name, value in expected.items():
        wanted = pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value
        assert found[name] == wanted, (found["order_line_id"], name, found[name], value)


def test_the_policy_names_every_feature_of_the_mart(marts: Connection) -> None:
    columns = rows(marts, "describe marts.return_features")
    keys = ("source", "order_line_id", "order_id", "ordered_at", "ordered_date", "as_of_date")
    # what the rule of what to do asks of a line besides
    keys += ("product_id", "ordered_amount", "has_size")
    named = [
        column["column_name"]
        for column in columns
        if column["column_name"] not in keys and not column["column_name"].startswith("label_")
    ]
    assert sorted(features_of()) == sorted(named)
    kinds = {column["column_name"]: column["column_type"] for column in columns}
    with (POLICY / "policy_model_features.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            numeric = ("BIGINT", "DOUBLE")
            types = {"numeric": numeric, "flag": ("BOOLEAN",), "categorical": ("VARCHAR",)}
            assert kinds[row["feature"]] in types[row["kind"]], row["feature"]
            assert row["feature_set"] in ("checkout", "fulfilment")


def test_a_thousand_rows_of_the_demo_are_what_a_replay_finds(
    demo: Build, marts: Connection
) -> None:
    replay = Replay(marts, "demo", demo.raw / "demo")
    found = sample(marts, "demo", 1000)
    assert len(found) == 1000
    for row in found:
        expected = replay.features(replay.by_id[row["order_line_id"]])
        assert sorted(expected) == sorted(features_of())
        assert_equal(row, expected)
    # the sample holds what it is meant to show
    assert sum(row["customer_returned_lines_before"] or 0 for row in found) > 100
    assert any(row["same_product_variants"] > 1 for row in found)
    assert any(row["is_guest"] for row in found)


def test_rows_of_the_real_file_are_what_a_replay_finds(online_retail_marts: Connection) -> None:
    replay = Replay(online_retail_marts, "online_retail")
    for row in sample(online_retail_marts, "online_retail", 200):
        assert_equal(row, replay.features(replay.by_id[row["order_line_id"]]))


def test_small_shop_with_every_way_to_return(shop: Build) -> None:
    """Undated returns, statuses, cancellations, guests, reviews: every line."""
    with duckdb.connect(str(shop.warehouse), read_only=True) as connection:
        replay = Replay(connection, "shop", shop.raw / "shop")
        found = sample(connection, "shop", 1000)
    assert len(found) == len(replay.lines)
    for row in found:
        assert_equal(row, replay.features(replay.by_id[row["order_line_id"]]))


# blind to what came later


def copy_csv(source: Path, target: Path, change: Callable[[dict], dict | None]) -> None:
    """Copy a CSV file row by row; `change` returns the row to write, or None.

    Rows with too few or too many fields are copied as they are.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        source.open(encoding="utf-8", newline="") as read,
        target.open("w", encoding="utf-8", newline="") as write,
    ):
        reader, writer = csv.reader(read), csv.writer(write, lineterminator="\n")
        header = next(reader)
        writer.writerow(header)
        for fields in reader:
            if len(fields) == len(header):
                changed = change(dict(zip(header, fields, strict=True)))
                fields = list(changed.values()) if changed else None
            if fields:
                writer.writerow(fields)


def is_later(text: str | None, cut: dt.date) -> bool:
    """The text is a date on or after the cut; what is no date is not."""
    try:
        return dt.datetime.fromisoformat(text or "").date() >= cut
    except ValueError:
        return False


def order_line_as_of(row: dict, cut: dt.date) -> dict | None:
    """An order line as an export on the morning of the cut would show it; None if it did not."""
    if is_later(row["ordered_at"], cut):
        return None
    row = dict(row)
    if is_later(row["delivered_at"], cut):
        row["delivered_at"] = ""
    if is_later(row["cancelled_at"], cut):
        row["cancelled_at"] = ""
        row["return_status"] = ""
    # nobody says when a delivery failed: it is known when the return window is over
    if row["return_status"] == "undelivered" and is_later(row["ordered_at"], cut - RETURN_WINDOW):
        row["return_status"] = ""
    return row


def build_features(build: Build) -> Build:
    """Build what return_features and entity_history need."""
    support.build(
        build,
        *("--select", "+return_features", "+entity_history", "--indirect-selection", "cautious"),
        *support.WITHOUT_UNIT_TESTS,
    )
    return build


@pytest.fixture(scope="module")
def truncated(demo: Build, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The demo as it was delivered on the morning of the cut."""
    build = Build(tmp_path_factory.mktemp("truncated"))
    moments = {"returns": "returned_at", "reviews": "reviewed_at"}

    def keep(name: str) -> Callable[[dict], dict | None]:
        if name == "order_lines":
            return lambda row: order_line_as_of(row, CUT)
        if name in moments:
            return lambda row: None if is_later(row[moments[name]], CUT) else row
        return lambda row: row

    for file in (demo.raw / "demo").iterdir():
        copy_csv(file, build.raw / "demo" / file.name, keep(file.stem))
    return build_features(build)


def assert_same_features(
    found: Build, expected: Build, features: list[str], before: dt.date
) -> int:
    """Bit for bit the same features of all lines ordered before a day; how many lines."""
    columns = ", ".join(["source", "order_line_id", *features])
    select = (
        f"select {columns} from {{}}.marts.return_features where ordered_date < date '{before}'"
    )
    with duckdb.connect() as connection:
        connection.execute(f"attach '{found.warehouse}' as found (read_only)")
        connection.execute(f"attach '{expected.warehouse}' as expected (read_only)")
        for one, other in (("found", "expected"), ("expected", "found")):
            query = f"{select.format(one)} except all {select.format(other)}"
            differing = connection.execute(f"select * from ({query}) limit 5").fetchall()
            assert not differing, (one, columns, differing)
        return connection.execute(f"select count(*) from ({select.format('found')})").fetchone()[0]


def test_features_do_not_change_when_the_future_is_cut_off(demo: Build, truncated: Build) -> None:
    features = [name for name in features_of() if name not in FULFILMENT]
    assert assert_same_features(truncated, demo, features, CUT) > 40_000
    delivered = "delivered_at is not null and cast(delivered_at as date) < date '2026-03-15'"
    assert support.query(truncated, f"select count(*) from marts.order_lines where {delivered}")


def test_returns_after_an_order_never_change_its_features(demo: Build, tmp_path: Path) -> None:
    """Half of the later returns are left out, the others come on another day."""
    build = Build(tmp_path)
    draw = random.Random(5)

    def change(row: dict) -> dict | None:
        if not is_later(row["returned_at"], CUT) or is_later(
            row["returned_at"], dt.date(2027, 1, 1)
        ):
            return row
        if draw.random() < 0.5:
            return None
        later = dt.datetime.fromisoformat(row["returned_at"]) + dt.timedelta(days=draw.randrange(9))
        return row | {"returned_at": str(min(later, dt.datetime(2026, 6, 30, 20)))}

    for file in (demo.raw / "demo").iterdir():
        untouched = file.stem != "returns"
        copy_csv(file, build.raw / "demo" / file.name, (lambda row: row) if untouched else change)
    build_features(build)
    # a return of the cut day itself is known from the next day on
    after = CUT + dt.timedelta(days=1)
    assert assert_same_features(build, demo, features_of(), after) > 40_000
    changed = "select sum(customer_returned_lines_before) from marts.return_features"
    assert support.query(build, changed) < support.query(demo, changed)


def test_entity_history_tells_what_a_new_line_would_know(
    truncated: Build, marts: Connection
) -> None:
    """The lines of the cut day, looked up in the history of the day before."""
    names = {
        "line_count": "lines",
        "order_count": "orders",
        "returned_line_count": "returned",
        "price_total": "price",
        "rating_count": "ratings",
        "rating_total": "stars",
        "delivered_count": "delivered",
        "late_count": "late",
        "first_order_date": "first_order",
        "last_order_date": "last_order",
        "last_return_date": "last_return",
    }
    known = {}
    with duckdb.connect(str(truncated.warehouse), read_only=True) as connection:
        history = rows(connection, "select * from marts.entity_history")
        [day] = {row["as_of_date"] for row in history}
    assert day == CUT - dt.timedelta(days=1)
    for row in history:
        counters = known[row["entity_type"], row["entity_id"]] = Counters()
        for column, name in names.items():
            value = row[column]
            if value is not None:
                setattr(counters, name, float(value) if column.endswith("total") else value)
    lines = rows(
        marts,
        "select order_lines.*, return_features.* exclude (source, order_line_id, order_id,"
        " ordered_at, ordered_date, category, marketplace, country, channel, payment_method,"
        " customer_type, unit_price, is_late, as_of_date)"
        " from marts.order_lines inner join marts.return_features using (source, order_line_id)"
        " where order_lines.ordered_date = ?",
        CUT,
    )
    assert len(lines) > 50
    for line in lines:
        own = {"source": known["source", "all"]}
        for entity, column in ENTITIES.items():
            if line[column] is not None:
                own[entity] = known.get((entity, line[column]), Counters())
        assert_equal(line, history_features(line, own))


# sources that say less


def test_what_a_source_does_not_say_is_null(tmp_path: Path) -> None:
    build = Build(tmp_path, sources=("bare",))
    support.write(
        build.raw / "bare" / "order_lines.csv",
        """
        order_id,ordered_at,product_id,quantity,unit_price
        A1,2025-05-05,mug,3,10.00
        A2,2025-05-06,mug,1,0
        A2,2025-05-06,cup,1,0
        A3,2025-06-06,mug,1,30.00
        """,
    )
    support.build(
        build,
        *("--select", "+return_features", "+entity_history", "+coverage"),
        *("--indirect-selection", "cautious", *support.WITHOUT_UNIT_TESTS),
    )
    with duckdb.connect(str(build.warehouse), read_only=True) as connection:
        found = rows(connection, "from marts.return_features order by order_id, basket_lines")
        status = rows(
            connection,
            "select mart, status from marts.coverage"
            " where mart in ('return_features', 'entity_history') order by mart",
        )
        entities = rows(connection, "select distinct entity_type from marts.entity_history")
    filled = {name for row in found for name in features_of() if row[name] is not None}
    assert filled == {
        "is_guest",
        "product_lines_before",
        "product_days_since_first_sale",
        "basket_lines",
        "basket_units",
        "basket_value",
        "basket_share",
        "same_product_lines",
        "same_product_variants",
        "quantity",
        "unit_price",
        "discount_share",
        "price_to_product",
        "order_month",
        "order_weekday",
        "is_weekend",
    }
    assert {row["label_is_returned"] for row in found} == {None}
    last = found[-1]
    assert (last["product_lines_before"], last["price_to_product"]) == (2, 6.0)
    assert [row["status"] for row in status] == ["partial", "partial"]
    assert {row["entity_type"] for row in entities} == {"source", "product"}


def test_decisions_on_models_are_those_of_a_build_of_that_time(
    demo: Build, truncated: Build, marts: Connection
) -> None:
    """model_promotions of the demo, decided again on files that end in March."""
    policies = dict(
        marts.execute("select policy_name, value from policy.policy_parameters").fetchall()
    )
    levels = dict(
        marts.execute(
            "select confidence_percent, z from policy.policy_confidence_levels"
        ).fetchall()
    )
    features = [
        Feature(*row)
        for row in marts.execute(
            "select feature, kind, feature_group from policy.policy_model_features"
            " where feature_set = 'checkout' order by feature"
        ).fetchall()
    ]
    policy = replace(return_models.Policy.of(policies, levels), origins=0)  # no rivals
    names = ", ".join(feature.name for feature in features)
    with duckdb.connect(str(truncated.warehouse), read_only=True) as connection:
        columns = connection.execute(
            f"""
            select {names}, order_line_id, ordered_date,
                cast('0x' || substr(md5('42 ' || order_line_id), 1, 7) as bigint) / 268435456.0
                    as draw,
                label_is_returned
                and coalesce(label_returned_date <= ordered_date + 60, true) as came_back
            from marts.return_features
            where label_return_class in ('kept', 'returned', 'open')
                and label_is_returned is not null and ordered_date + 60 <= as_of_date
            order by order_line_id
            """
        ).fetchnumpy()
        (today,) = connection.execute(
            "select max(as_of_date) from marts.return_features"
        ).fetchone()
    lines = return_models.lines(columns, features, window=60)
    records, _, _ = return_models.learn(
        lines, features, today=today.toordinal(), policy=policy, random_state=42
    )
    then = {
        (row["trained_on"], row["name"]): row.get("detail", row.get("value"))
        for row in records.rows
        if row["record"] == "promotion" and row["trained_on"] < today
    }
    now = marts.execute(
        "select trained_on, name, coalesce(detail, cast(value as varchar))"
        " from private.ml_return_models"
        " where record = 'promotion' and trained_on < ?",
        [today],
    ).fetchall()
    assert {(day, name) for day, name, _ in now} == set(then)
    assert max(day for day, _ in then) == dt.date(2026, 2, 28)
    for day, name, value in now:
        if isinstance(then[day, name], float):
            assert float(value) == pytest.approx(then[day, name], abs=1e-9), (day, name)
        else:
            assert value == then[day, name], (day, name)
