"""Alerts beside the truth: of histories with incidents and without, and of equal sellers.

Histories come from the generator, which knows the probability of every line with and without what
went wrong. Equal sellers are simulated as in `sellers.py`, many marketplaces in one build.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np

from proofs import sellers
from proofs.harness import Built, Proof, Row, Workshop, World, dbt, fetch

HISTORY = {"lines": 1_000_000, "sellers": 150, "quiet": True, "format": "parquet"}
INCIDENTS = 40
COSTLIEST = 20
ALIKE_SELLERS, ALIKE_WORLDS, ALIKE_BATCH = 200, 400, 50

# what an alert must be about to be right: so many times the returns there would have been
TRUE_EFFECT = 1.2
GRACE_DAYS = 60  # an incident's last returns come so many days after its last sale

PRECISION, RECALL = 0.80, 0.90
FALSE_PER_1000_ENTITY_MONTHS = 1.0
FALSE_ALARM = 0.05

ALIKE_MODELS = (
    "int_alert_weeks",
    "int_alert_candidates_risk",
    "int_alert_candidates_jumps",
    "int_alert_tests",
    "alerts",
)

# Monitors of data and model are left out: equal sellers sell nothing that could drift and no model
# scores it. What they do in quiet histories is in the proof of monitoring.
MONITORS = tuple(f"int_alert_candidates_{name}" for name in ("drift", "labels", "model"))
WITHOUT_MONITORING = ";".join(
    f"""
    create table intermediate.{monitor} as
    select null::text as source, null::text as monitor, null::text as entity_type,
        null::text as entity_id, null::text as metric, null::bigint as window_days,
        null::int as week_no, null::int as end_week, null::bigint as lines,
        null::double as observed, null::double as expected, null::double as effect,
        null::double as effect_lo, null::double as p_value, null::bool as is_large_enough,
        null::bool as is_small, null::double as excess_returns,
        null::decimal(18, 4) as money_at_risk, null::text as compared_with,
        null::text as sentence
    where false"""
    for monitor in MONITORS
)


def without_monitoring(raw: Path, truth: Path) -> None:
    """Nothing for the monitors of data and model, in the warehouse that is about to be built."""
    with duckdb.connect(str(raw.parent.parent / "warehouse.duckdb")) as connection:
        connection.execute("create schema intermediate")
        connection.execute(WITHOUT_MONITORING)


# every alert in the week it opened, and who is watched at the end, with the lines looked at
OPENED = """
    create temp table opened as
    select row_number() over (order by entity_type, entity_id, metric, first_week) as alert_no,
        entity_type, entity_id, metric, is_watched,
        date '1900-01-01' + (week_no * 7 + 6)::int as opened_on,
        date '1900-01-01' + (end_week * 7 + 7)::int - window_days::int as starts_on,
        date '1900-01-01' + (end_week * 7 + 6)::int as ends_on
    from intermediate.int_alert_tests
    where is_open and week_no = first_week or is_watched and week_no = last_week
"""

# returns of those lines as they were to be expected, and as they would have been without incidents
# (a jump) or without the lasting faults of seller and product as well (a high rate)
EFFECTS = """
    create temp table effects as
    with lines as (
        select line_truth.*, cast(ordered_at as date) as day,
            ln(greatest(p_true, 1e-6) / greatest(1 - p_true, 1e-6)) - incident_log_odds as usual,
            ln(true_sellers.odds_multiplier) + ln(true_products.odds_multiplier) as lasting
        from truth_line_truth as line_truth
        inner join truth_sellers as true_sellers using (seller_id)
        inner join truth_products as true_products using (product_id)
        where not is_cancelled and not is_undelivered
    ),
    chosen as (
        select 'seller' as entity_type, seller_id as entity_id, * from lines
        union all
        select 'product', product_id, * from lines
        union all
        select 'category', category, * from lines
        union all
        select 'marketplace', marketplace, * from lines
        union all
        select 'all', 'all', * from lines
        union all
        select 'category of a marketplace', marketplace || ' / ' || category, * from lines
    )
    select alert_no,
        sum(p_true) / sum(
            1 / (1 + exp(-usual + case when metric = 'return rate' then lasting else 0 end))
        ) as effect
    from opened
    inner join chosen
        on opened.entity_type = chosen.entity_type and opened.entity_id = chosen.entity_id
        and chosen.day between opened.starts_on and opened.ends_on
    group by alert_no
"""

FOUND = """
    select incident_no, kind, excess_cost_eur::double as cost,
        date_diff('day', incidents.starts_on, min(opened_on)) as days
    from truth_incidents as incidents
    left join opened
        on not is_watched and opened_on between incidents.starts_on and incidents.ends_on + $grace
        and (
            entity_type = 'seller' and entity_id = incidents.seller_id
            or entity_type = 'product' and entity_id = incidents.product_id
            or entity_type = 'marketplace' and entity_id = incidents.marketplace
                and incidents.category is null
            or entity_type = 'category of a marketplace' and (
                entity_id = incidents.marketplace || ' / ' || incidents.category
                or incidents.category is null and starts_with(entity_id, incidents.marketplace)
            )
        )
    group by incident_no, kind, cost, incidents.starts_on
    order by cost desc, incident_no
    limit $costliest
"""


def judge(built: Built) -> list[Row]:
    """What the alerts of a generated history are worth, beside the naive rules."""
    with built.connect() as connection:
        connection.execute(OPENED)
        connection.execute(EFFECTS)
        right = fetch(
            connection,
            "select count(*) filter (not is_watched) as alerts, "
            "count(*) filter (effect >= $least and not is_watched) as right, "
            "count(*) filter (effect >= 1.1 and not is_watched) as nearly, "
            "count(*) filter (is_watched) as watched, "
            "count(*) filter (effect >= $least and is_watched) as watched_right "
            "from opened left join effects using (alert_no)",
            least=TRUE_EFFECT,
        )[0]
        found = fetch(connection, FOUND, costliest=COSTLIEST, grace=GRACE_DAYS)
        tested = fetch(
            connection,
            "select sum(entities) / (365.25 / 12 / 7) as entity_months, count(*) as weeks from ("
            "select week_no, count(distinct (entity_type, entity_id)) as entities "
            "from intermediate.int_alert_tests group by week_no)",
        )[0]
        naive = {
            row["rule_name"]: row
            for row in fetch(
                connection,
                "select rule_name, alarms, true_alarms, false_alarms from marts.alert_backtest "
                "where outcome = 'the weeks looked at'",
            )
        }
    days = sorted(row["days"] for row in found if row["days"] is not None)
    return [
        {
            "kind": "incidents" if found else "quiet",
            "worlds": 1,
            "alerts": right["alerts"],
            "right": right["right"],
            "nearly": right["nearly"],
            "watched": right["watched"],
            "watched_right": right["watched_right"],
            "costliest": len(found),
            "found": len(days),
            "median_days": float(np.median(days)) if days else None,
            "weeks": tested["weeks"],
            "entity_months": float(tested["entity_months"]),
            "naive_rate": naive["rate > 1.5 x mean"]["alarms"],
            "naive_rate_right": naive["rate > 1.5 x mean"]["true_alarms"],
            "naive_rate_wrong": naive["rate > 1.5 x mean"]["false_alarms"],
            "naive_z": naive["z > 3"]["alarms"],
            "naive_z_right": naive["z > 3"]["true_alarms"],
            "naive_z_wrong": naive["z > 3"]["false_alarms"],
        }
    ]


def fill(
    connection: duckdb.DuckDBPyConnection,
    worlds: Mapping[str, sellers.Simulated],
    rng: np.random.Generator,
) -> None:
    """Write what the models of alerts read, each marketplace as a source of its own."""
    connection.execute(
        "create temp table drawn (source text, seller_no int, category int, week_no int, lag int)"
    )
    last_day = 6_600 * 7 + 6
    for source, world in worlds.items():
        lines = world.lines
        day = last_day - lines["age"]
        delay = -sellers.DELAY * np.log1p(-rng.random(len(day)) * lines["maturity"])
        returned_on = np.minimum(day + delay.astype(int), last_day)
        week = day // 7
        drawn = {
            "seller_no": lines["seller"],
            "category": lines["category"],
            "week_no": week,
            "lag": np.where(lines["returned"], returned_on // 7 - week, 10_000),
        }
        connection.register("lines_now", drawn)
        connection.execute("insert into drawn select ?, * from lines_now", [source])
        connection.unregister("lines_now")
    came = ", ".join(f"sum((lag <= {lag})::int)::bigint as came_{lag}" for lag in range(10))
    entities = {
        "seller": "'S' || seller_no, null, null",
        "category of a marketplace": "'m / c' || category, 'm', 'c' || category",
        "category": "'c' || category, null, 'c' || category",
        "marketplace": "'m', 'm', null",
        "all": "'all', null, null",
    }
    named = " union ".join(
        f"select source, '{name}', {columns} from drawn" for name, columns in entities.items()
    )
    selects = " union all ".join(
        f"select {entity}.entity_no, cell.entity_no as cell_no, week_no, null::bigint as "
        f"first_seller_no, null::bigint as last_seller_no, count(*) as lines, {came} "
        f"from drawn "
        f"join intermediate.int_alert_entities as seller "
        f"on drawn.source = seller.source and seller.entity_type = 'seller' "
        f"and seller.entity_id = 'S' || seller_no "
        f"join intermediate.int_alert_entities as cell "
        f"on drawn.source = cell.source and cell.entity_type = 'category of a marketplace' "
        f"and cell.category = 'c' || drawn.category group by all"
        for entity in ("cell", "seller")
    )
    sources = "(select distinct source from drawn)"
    connection.execute(
        f"""
        create table intermediate.int_alert_entities as
            select row_number() over () as entity_no, * from ({named})
            as named (source, entity_type, entity_id, marketplace, category);
        create table intermediate.int_alert_sales as {selects};
        create table intermediate.int_sources as
            select source, 'EUR' as reporting_currency,
                (date '1900-01-01' + {last_day})::date as as_of_date
            from {sources};
        -- as if it were known that sellers are alike: the narrowest test there is
        create table intermediate.int_alert_spreads as
            select source, entity_type, week_no::int as week_no, 1.0::double as dispersion,
                0.0::double as null_spread
            from {sources}, range(6400, 6700) as weeks (week_no), (
                values ('seller'), ('category of a marketplace'), ('category'), ('marketplace'),
                    ('all')
            ) as types (entity_type);
        create table intermediate.int_return_costs_held as
            select source, 'all' as entity_type, 'all' as entity_id,
                10.0::double as cost_per_return
            from {sources};
        create table marts.sellers as select source, '' as seller_id, '' as seller_name
            from {sources};
        create table marts.products as
            select source, '' as product_id, '' as product_name from {sources}
        """
    )


def judge_alike(world: World, folder: Path) -> list[Row]:
    """In how many of a batch of marketplaces of equal sellers an alert is open at the end."""
    rng = np.random.default_rng([2, world.options["seed"]])
    worlds = {
        f"w{number:03}": sellers.simulate(rng, ALIKE_SELLERS, identical=True)
        for number in range(ALIKE_BATCH)
    }
    warehouse = folder / "warehouse.duckdb"
    warehouse.unlink(missing_ok=True)
    raw = folder / "raw" / "simulated"
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "order_lines.csv").write_text(
        "order_id,ordered_at,product_id,quantity,unit_price\n1,2026-06-30,1,1,1\n",
        encoding="utf-8",
    )
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create schema intermediate; create schema marts")
        fill(connection, worlds, rng)
        connection.execute(WITHOUT_MONITORING)
    vars = {"sources": ["simulated"], "raw": str(raw.parent), "warehouse": str(warehouse)}
    dbt(
        *("build", "--select", "resource_type:seed", *ALIKE_MODELS),
        *("--exclude-resource-type", "test", "unit_test"),
        *("--vars", json.dumps(vars)),
        target=folder / "target",
    )
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return fetch(
            connection,
            """
            with naive as (
                select source, sum((rate > 1.5 * mean)::int) as naive_rate,
                    sum((rate - mean > 3 * sqrt(mean * (1 - mean) / lines))::int) as naive_z
                from (
                    select source, lines_8 as lines, observed_8 / lines_8 as rate,
                        sum(observed_8) over (partition by source)
                        / sum(lines_8) over (partition by source) as mean
                    from intermediate.int_alert_weeks
                    where week_no = last_week and entity_type = 'seller' and lines_8 > 0
                )
                group by source
            )
            select 'alike' as kind, count(*) as worlds,
                sum((open_now > 0)::int) as right, sum(open_now) as alerts,
                sum(ever) as nearly, sum((naive_rate > 0)::int) as costliest,
                sum((naive_z > 0)::int) as found, null as median_days,
                max(weeks) as weeks, 0.0 as entity_months, sum(naive_rate) as naive_rate,
                0 as naive_rate_right, 0 as naive_rate_wrong, sum(naive_z) as naive_z,
                0 as naive_z_right, 0 as naive_z_wrong, sum(watched) as watched,
                0 as watched_right
            from (
                select naive.*, (
                        select count(distinct week_no) from intermediate.int_alert_tests
                    ) as weeks,
                    (select count(*) from marts.alerts
                        where alerts.source = naive.source and status in ('new', 'open')
                    ) as open_now,
                    (select count(*) from marts.alerts
                        where alerts.source = naive.source and status = 'watch') as watched,
                    (select count(*) from marts.alerts
                        where alerts.source = naive.source and status <> 'watch') as ever
                from naive
            )
            """,
        )


def compute(world: World, workshop: Workshop) -> list[Row]:
    """The alerts of one world beside its truth."""
    if not world.options.get("alike"):
        return workshop.measure(world, judge)
    assert workshop.folder, "the workshop is not open"
    return judge_alike(world, workshop.folder)


def pool(worlds: dict[str, list[Row]]) -> list[Row]:
    """One row per kind of world."""
    rows = [row for several in worlds.values() for row in several]
    figures: list[Row] = []
    for kind in ("incidents", "quiet", "alike"):
        chosen = [row for row in rows if row["kind"] == kind]
        if not chosen:
            continue
        total = {
            name: math.fsum(row[name] for row in chosen)
            for name in chosen[0]
            if name not in ("kind", "median_days")
        }
        days = [row["median_days"] for row in chosen if row["median_days"] is not None]
        figures.append(
            {"kind": kind, "median_days": float(np.median(days)) if days else None, **total}
        )
    return figures


def missed(figures: list[Row]) -> list[str]:
    """Which targets the figures miss."""
    by_kind = {row["kind"]: row for row in figures}
    if by_kind.keys() != {"incidents", "quiet", "alike"}:
        return ["all kinds of worlds are needed"]
    incidents, quiet, alike = (by_kind[kind] for kind in ("incidents", "quiet", "alike"))
    limit = FALSE_ALARM + 2 * math.sqrt(FALSE_ALARM * (1 - FALSE_ALARM) / alike["worlds"])
    false = quiet["alerts"] - quiet["right"]
    targets = [
        ("precision", incidents["right"] / incidents["alerts"], PRECISION, 1),
        ("recall of the costliest", incidents["found"] / incidents["costliest"], RECALL, 1),
        (
            "false alerts of quiet worlds per 1,000 entities and month",
            1000 * false / quiet["entity_months"],
            0,
            FALSE_PER_1000_ENTITY_MONTHS,
        ),
        ("worlds of equals with an alert", alike["right"] / alike["worlds"], 0, limit),
    ]
    return [
        f"{what}: {found:.3f}, not in {low:.3f} to {high:.3f}"
        for what, found, low, high in targets
        if not low <= found <= high
    ]


def watched(row: Row) -> str:
    return f"{100 * row['watched_right'] / max(row['watched'], 1):.0f} % of {row['watched']:.0f}"


def show(figures: list[Row]) -> str:
    """The figures as a Markdown table."""
    by_kind = {row["kind"]: row for row in figures}
    lines = ["| what | found | target |", "|---|---:|---:|"]

    def add(what: str, found: str, target: str = "") -> None:
        lines.append(f"| {what} | {found} | {target} |")

    if row := by_kind.get("incidents"):
        share = 100 * row["right"] / row["alerts"]
        add(
            f"{row['worlds']:.0f} histories of 40 incidents: alerts about at least a fifth more",
            f"{share:.0f} % of {row['alerts']:.0f}",
            "≥ 80 %",
        )
        add("… about at least a tenth more", f"{100 * row['nearly'] / row['alerts']:.0f} %")
        add(
            "the twenty costliest incidents of each found",
            f"{row['found']:.0f} of {row['costliest']:.0f}",
            "≥ 90 %",
        )
        add("days from their first sale to the alert, median", f"{row['median_days']:.0f}")
        for name, rule in (("rate", "rate > 1.5 x mean"), ("z", "z > 3")):
            right, wrong = row[f"naive_{name}_right"], row[f"naive_{name}_wrong"]
            add(
                f"naive: {rule}",
                f"{right:,.0f} of {row[f'naive_{name}']:,.0f} right, {wrong:,.0f} wrong",
            )
        add("watched at the end: about at least a fifth more", watched(row))
    if row := by_kind.get("quiet"):
        false = row["alerts"] - row["right"]
        add(
            f"{row['worlds']:.0f} quiet histories: false alerts per 1,000 entities and month",
            f"{1000 * false / row['entity_months']:.2f} ({false:.0f})",
            "≤ 1",
        )
        add("watched at the end: about at least a fifth more", watched(row))
    if row := by_kind.get("alike"):
        worlds = row["worlds"]
        add(
            f"{worlds:.0f} marketplaces of {ALIKE_SELLERS} equal sellers: with any alert open",
            f"{100 * row['right'] / worlds:.1f} %",
            "≤ 5 % + 2 se",
        )
        add("… watched in each", f"{row['watched'] / worlds:.1f}")
        add("… with a naive alarm: rate > 1.5 x mean", f"{100 * row['costliest'] / worlds:.0f} %")
        add("… naive alarms in each: rate > 1.5 x mean", f"{row['naive_rate'] / worlds:.1f}")
        add("… naive alarms in each: z > 3", f"{row['naive_z'] / worlds:.1f}")
    return "\n".join(lines)


ALERTS_PROOF = Proof(
    name="alerts",
    claim=(
        "Alerts are mostly about something, find the costliest incidents, are rare where nothing "
        "happened, and sellers that are all alike raise none."
    ),
    marts=("alerts", "alert_backtest"),
    worlds=(
        *(
            World(
                f"incidents {seed}",
                {**HISTORY, "seed": seed, "incidents": INCIDENTS},
                without_monitoring,
            )
            for seed in (2, 4)
        ),
        World("quiet 3", {**HISTORY, "seed": 3}, without_monitoring),
        *(
            World(f"alike {number + 1}", {"seed": number + 1, "alike": True})
            for number in range(ALIKE_WORLDS // ALIKE_BATCH)
        ),
    ),
    subset=("alike 1",),
    compute=compute,
    pool=pool,
    missed=missed,
    show=show,
    summary=show,
    helpers=(Path(sellers.__file__).resolve(),),
    filled=MONITORS,
)
