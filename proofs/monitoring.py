"""Monitoring in histories in which nothing happens, and in which returns come late.

What label_delay calls an alarm, and what becomes an alert of drift, pace, calibration or ranking:
each is false where the generator let nothing happen. In others all returns due in the last four
weeks come some days later.
"""

import math
from pathlib import Path

import duckdb

from proofs.harness import Built, Proof, Row, Workshop, World, fetch

# the monitors of sellers are left out: the proof of alerts is about them
SELLERS = ("int_alert_candidates_risk", "int_alert_candidates_jumps")
WITHOUT_SELLERS = ";".join(
    f"""
    create table intermediate.{monitor} as
    select null::text as source, null::text as monitor, null::text as entity_type,
        null::text as entity_id, null::text as metric, null::bigint as window_days,
        null::int as week_no, null::int as end_week, null::bigint as lines,
        null::double as observed, null::double as expected, null::double as effect,
        null::double as effect_lo, null::double as p_value, null::bool as is_large_enough,
        null::double as excess_returns, null::decimal(18, 4) as money_at_risk,
        null::text as compared_with
    where false"""
    for monitor in SELLERS
)

DAYS = 546
QUIET = range(11, 19)
LATE_FROM = DAYS - 28
LATE = {3: range(11, 15), 7: range(11, 15)}  # days late: seeds

MEASURED = """
with weeks as (
    select * from marts.label_delay
    where basis = 'arrival' and finding not in ('too little', 'unfinished')
),
tests as (
    select * from intermediate.int_alert_tests where family = 'monitoring'
),
opened as (
    select * from tests where is_open and week_no = first_week
)
select
    (select count(*) from weeks where marketplace = 'all') as weeks_all,
    (select count(*) from weeks where marketplace = 'all' and is_alarm) as alarms_all,
    (select count(*) from weeks where marketplace <> 'all') as weeks_one,
    (select count(*) from weeks where marketplace <> 'all' and is_alarm) as alarms_one,
    (select count(*) from weeks where marketplace = 'all' and week_start >= end_date - 34
        and finding = 'labels late') as late_weeks,
    (select count(*) from weeks where marketplace = 'all' and week_start >= end_date - 34
        and finding = 'late or fewer') as open_weeks,
    (select count(*) from weeks where marketplace = 'all' and week_start >= end_date - 34
        and finding = 'fewer returns') as fewer_weeks,
    (select count(*) from weeks where marketplace = 'all'
        and finding in ('late or fewer', 'early or more')) as open_all,
    (select count(*) from weeks where marketplace = 'all'
        and finding in ('fewer returns', 'more returns')) as rates_all,
    (select count(distinct week_no) from tests where monitor = 'drift') as drift_weeks,
    (select count(*) from opened where monitor = 'drift') as drift_alerts,
    (select count(distinct week_no) from tests where monitor = 'labels') as labels_weeks,
    (select count(*) from opened where monitor = 'labels') as labels_alerts,
    (select count(distinct week_no) from tests where monitor = 'calibration')
        as calibration_weeks,
    (select count(*) from opened where monitor = 'calibration') as calibration_alerts,
    (select count(distinct week_no) from tests where monitor = 'ranking') as ranking_weeks,
    (select count(*) from opened where monitor = 'ranking') as ranking_alerts,
    (select count(*) from tests where is_open and week_no = last_week) as open_at_the_end,
    (select count(*) from opened where monitor = 'labels' and entity_type = 'source'
        and week_no >= last_week - 4 and observed < expected) as late_alerts
from truth_world
"""
MONITORS = ("drift", "labels", "calibration", "ranking")


def without_sellers(raw: Path, truth: Path) -> None:
    """Nothing for the monitors of sellers, in the warehouse that is about to be built."""
    with duckdb.connect(str(raw.parent.parent / "warehouse.duckdb")) as connection:
        connection.execute("create schema intermediate")
        connection.execute(WITHOUT_SELLERS)


def measure(built: Built) -> list[Row]:
    """Alarms and alerts of one history."""
    with built.connect() as connection:
        return fetch(connection, MEASURED)


def compute(world: World, workshop: Workshop) -> list[Row]:
    """What monitoring says of one history."""
    (row,) = workshop.measure(world, measure)
    shift = world.options.get("delay_shift")
    return [{"days_late": shift[1] if shift else 0, "worlds": 1, **row}]


def pool(worlds: dict[str, list[Row]]) -> list[Row]:
    """One row per number of days late."""
    rows = [row for several in worlds.values() for row in several]
    figures: list[Row] = []
    for days in sorted({row["days_late"] for row in rows}):
        chosen = [row for row in rows if row["days_late"] == days]
        totals = {
            name: sum(row[name] for row in chosen) for name in chosen[0] if name != "days_late"
        }
        figures.append(
            {
                "days_late": days,
                **totals,
                "found": sum(row["late_weeks"] > 0 for row in chosen),
                "found_or_open": sum(row["late_weeks"] + row["open_weeks"] > 0 for row in chosen),
                "called_fewer": sum(row["fewer_weeks"] > 0 for row in chosen),
                "alerted": sum(row["late_alerts"] > 0 for row in chosen),
                "with_open": sum(row["open_at_the_end"] > 0 for row in chosen),
            }
        )
    return figures


def interval(hits: int, n: int) -> tuple[float, float]:
    """Wilson's interval (95 %)."""
    z = 1.959964
    share, spread = hits / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def per_year(row: Row, monitor: str) -> float:
    """Alerts per source and year of weeks looked at."""
    return row[f"{monitor}_alerts"] / max(row[f"{monitor}_weeks"], 1) * 365.25 / 7


def missed(figures: list[Row]) -> list[str]:
    """The table says what is aimed at, which is no promise; all kinds of worlds must be there."""
    if {row["days_late"] for row in figures} != {0, *LATE}:
        return ["all kinds of worlds are needed"]
    return []


def show(figures: list[Row]) -> str:
    """The figures as a Markdown table."""
    lines = ["| what | found | aim |", "|---|---:|---:|"]
    for row in figures:
        days, worlds = row["days_late"], row["worlds"]
        if days:
            lines += [
                f"| returns of the last four weeks {days} days late: `label_delay` says so"
                f" | {row['found']} of {worlds} | {'≥ 90 %' if days == 7 else ''} |",
                "| … or that it is open whether they are late or fewer"
                f" | {row['found_or_open']} of {worlds} | |",
                f"| … it calls them fewer | {row['called_fewer']} of {worlds} | 0 |",
                f"| … an alert of all returns says so | {row['alerted']} of {worlds} | |",
            ]
            continue
        for what, name in (("all", "of a source"), ("one", "of a marketplace")):
            hits, n = row[f"alarms_{what}"], row[f"weeks_{what}"]
            low, high = interval(hits, n)
            lines.append(
                f"| {worlds} quiet histories: weeks {name} in which `label_delay` gives alarm"
                f" | {hits} of {n}: {100 * hits / n:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
                " | ≤ 2 % |"
            )
        lines += [
            f"| … of a source, it is open whether pace or rate | {row['open_all']} | |",
            f"| … of a source, another rate is said | {row['rates_all']} | |",
        ]
        lines += [
            f"| … alerts a year: {monitor} | {per_year(row, monitor):.2f}"
            f" ({row[f'{monitor}_alerts']} in {row[f'{monitor}_weeks']} weeks) | |"
            for monitor in MONITORS
        ]
        lines += [
            "| … alerts a year: all of monitoring"
            f" | {sum(per_year(row, monitor) for monitor in MONITORS):.2f} | ≤ 1 |",
            f"| … with one open at the end | {row['with_open']} of {worlds} | ≤ 5 % + 2 se |",
        ]
    return "\n".join(lines)


MONITORING = Proof(
    name="monitoring",
    claim="How often monitoring gives alarm where nothing happens, and whether returns that come "
    "late are found, and told from fewer.",
    marts=("int_alert_tests", "label_delay"),
    filled=SELLERS,
    worlds=(
        *(World(f"quiet {seed}", {"seed": seed, "quiet": True}, without_sellers) for seed in QUIET),
        *(
            World(
                f"{days} days late {seed}",
                {"seed": seed, "quiet": True, "delay_shift": (LATE_FROM, days)},
                without_sellers,
            )
            for days, seeds in LATE.items()
            for seed in seeds
        ),
    ),
    subset=("quiet 11",),
    compute=compute,
    pool=pool,
    missed=missed,
    show=show,
    summary=show,
)
