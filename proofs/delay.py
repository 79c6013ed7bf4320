"""A delay of returns told apart from a falling return rate, and kept out of the projection."""

import csv
import datetime as dt
import math
from functools import partial
from itertools import product
from pathlib import Path

import duckdb

from proofs.harness import Built, Proof, Row, Workshop, World, fetch

DAYS_TO_FLAG = 14
LARGEST_CHANGE = 0.01  # of the projected rate, at maturity 0.30 and more
DAYS = 546  # length of the worlds
SEEDS = range(1, 7)
# days counted from the end (14 = the last 14 days of data are late), days late: number of worlds
SHIFTS = {(14, 3): 4, (14, 5): 4, (14, 7): 6, (14, 10): 4, (7, 5): 3}
FALLS = {28: 4}  # a third fewer returns of the sales of the last so many days: number of worlds
REMOVED_SHARE = 3  # one in three

UNITS = ("lines", "units", "value")
STEADY = ("lines", "units")  # what a dear parcel more or less does to the value is shown only
ENTITY_TYPES = ("all", "marketplace", "category")
PERIODS = ("month", "week")

FLAGS = """
select
    known_on,
    marketplace,
    status = 'delayed' as is_delayed,
    lag_days,
    rate_status,
    known_on = as_of_date as is_current
from marts.return_delays
order by known_on, marketplace
"""

RATES = """
select
    entity_type,
    entity_id,
    unit,
    period_grain as period,
    period_start,
    maturity,
    projected_rate
from marts.return_rates
where basis = 'sale' and entity_type in ('all', 'marketplace', 'category')
    and period_grain in ('month', 'week')
    and projected_rate is not null
order by entity_type, entity_id, unit, period_grain, period_start
"""

# the supply crisis of the default world is a delay of its own, until its last parcels are in
CRISES = """
select starts_on, ends_on + 45 as ends_on from truth_incidents where kind = 'supply_crisis'
"""

TRUE_RATES = """
with back as (
    select distinct line_id from truth_return_truth
)
select count(back.line_id) / count(*) as true_rate
from truth_line_truth
left join back using (line_id)
where not is_cancelled and not is_undelivered
    and ordered_at >= (select end_date - cast($days as int) + 1 from truth_world)
"""


def a_third_fewer(raw: Path, truth: Path, *, days: int) -> None:
    """Take a third of the returns of the sales of the last days out of the files and the truth."""
    with duckdb.connect() as connection:
        for table in ("return_truth", "line_truth", "world"):
            connection.execute(f"create view {table} as from '{truth}/{table}.parquet'")
        connection.execute(
            f"""
            create table taken as
            select return_id
            from return_truth
            inner join line_truth using (line_id)
            where ordered_at >= (select end_date - {days - 1} from world)
                and cast('0x' || left(md5(line_id), 8) as bigint) % {REMOVED_SHARE} = 0"""
        )
        taken = {name for (name,) in connection.execute("from taken").fetchall()}
        connection.execute(
            """
            create table kept as
            select * from return_truth where return_id not in (from taken)"""
        )
        connection.execute(f"copy kept to '{truth}/return_truth.parquet' (format parquet)")
    file = raw / "returns.csv"
    with file.open(encoding="utf-8", newline="") as text:
        rows = [row for row in csv.reader(text) if row[0] not in taken]
    with file.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, lineterminator="\n").writerows(rows)


def facts(built: Built) -> dict[str, list[Row]]:
    """What the marts say of a world: flags by day, rates by cohort; and its crisis."""
    with built.connect() as connection:
        return {
            "flags": fetch(connection, FLAGS),
            "rates": fetch(connection, RATES),
            "crises": fetch(connection, CRISES),
            "end": fetch(connection, "select end_date from truth_world"),
            "true": [
                fetch(connection, TRUE_RATES, days=days)[0] | {"days": days} for days in FALLS
            ],
        }


def compute(world: World, workshop: Workshop) -> list[Row]:
    """False alarms of a world without delay; of any other what it does compared with its base."""
    seed = world.options["seed"]
    found = workshop.measure(world, facts)
    if kind := KINDS.get(world.name):
        base = workshop.measure(WORLDS[f"seed {seed}"], facts)
        first_day = found["end"][0]["end_date"] - dt.timedelta(days=kind[1] - 1)
        rows = _flagged(found, base, first_day) + _changes(found, base)
        if kind[0] == "fall":
            rows += _fall(found, base, first_day, kind[1])
        return rows
    return _false_alarms(found)


def _row(measure: str, **values: object) -> Row:
    names = ("entity_type", "unit", "period", "maturity_of")
    names += ("n", "total", "total_abs", "largest", "small")
    return {"measure": measure, **{name: values.get(name) for name in names}}


def _false_alarms(found: dict[str, list[Row]]) -> list[Row]:
    """Days flagged as delayed, of all days outside the supply crisis, and inside it."""
    rows = []
    for measure, is_inside in (("calm", False), ("crisis", True)):
        flags = [
            flag["is_delayed"]
            for flag in found["flags"]
            if is_inside
            == any(
                one["starts_on"] <= flag["known_on"] <= one["ends_on"] for one in found["crises"]
            )
        ]
        rows.append(_row(measure, n=len(flags), total=sum(flags)))
    return rows


def _flagged(
    found: dict[str, list[Row]], base: dict[str, list[Row]], first_day: dt.date
) -> list[Row]:
    """Per marketplace: days from the first late day until a flag that the base does not have."""
    before = {
        (flag["known_on"], flag["marketplace"]) for flag in base["flags"] if flag["is_delayed"]
    }
    rows = []
    for marketplace in sorted({flag["marketplace"] for flag in found["flags"]}):
        days = [
            ((flag["known_on"] - first_day).days, flag["lag_days"])
            for flag in found["flags"]
            if flag["marketplace"] == marketplace
            and flag["is_delayed"]
            and flag["known_on"] >= first_day
            and (flag["known_on"], marketplace) not in before
        ]
        days_to_flag, _ = min(days, default=(None, None))
        _, lag = max(days, default=(None, None))
        rows.append(_row("flag", entity_type=marketplace, n=days_to_flag, total=lag))
        status = next(
            flag["rate_status"]
            for flag in found["flags"]
            if flag["marketplace"] == marketplace and flag["is_current"]
        )
        rows.append(_row("rate", entity_type=marketplace, n=1, total=int(status == "falling")))
    return rows


def _changes(found: dict[str, list[Row]], base: dict[str, list[Row]]) -> list[Row]:
    """How far the projected rates lie from those of the base, maturity taken from either."""
    key = ("entity_type", "entity_id", "unit", "period", "period_start")
    before = {tuple(row[name] for name in key): row for row in base["rates"]}
    pairs = [
        (row, other) for row in found["rates"] if (other := before.get(tuple(row[k] for k in key)))
    ]
    rows = []
    for entity_type, unit, period, maturity_of in product(
        ENTITY_TYPES, UNITS, PERIODS, ("base", "delayed")
    ):
        changes = [
            row["projected_rate"] - other["projected_rate"]
            for row, other in pairs
            if (row["entity_type"], row["unit"], row["period"]) == (entity_type, unit, period)
            and 0.3 <= (other if maturity_of == "base" else row)["maturity"] < 0.99
        ]
        rows.append(
            _row(
                "change",
                entity_type=entity_type,
                unit=unit,
                period=period,
                maturity_of=maturity_of,
                n=len(changes),
                total=math.fsum(changes),
                total_abs=math.fsum(map(abs, changes)),
                largest=max(map(abs, changes), default=None),
                small=sum(abs(change) < LARGEST_CHANGE for change in changes),
            )
        )
    return rows


def _fall(
    found: dict[str, list[Row]], base: dict[str, list[Row]], first_day: dt.date, days: int
) -> list[Row]:
    """How far the rate of whole weeks after the fall moved, and how far it should have."""
    key = ("entity_type", "entity_id", "unit", "period", "period_start")

    def rates(facts: dict[str, list[Row]]) -> dict[tuple, Row]:
        return {
            tuple(row[name] for name in key): row
            for row in facts["rates"]
            if (row["entity_type"], row["unit"], row["period"]) == ("all", "lines", "week")
            and row["period_start"] >= first_day
            and row["maturity"] >= 0.3
        }

    before = rates(base)
    ratios = [
        row["projected_rate"] / before[name]["projected_rate"]
        for name, row in rates(found).items()
        if name in before
    ]
    truths = [
        next(row["true_rate"] for row in one["true"] if row["days"] == days)
        for one in (found, base)
    ]
    return [_row("fall", n=len(ratios), total=math.fsum(ratios), largest=truths[0] / truths[1])]


def pool(worlds: dict[str, list[Row]]) -> list[Row]:
    """Figures by shift: share of worlds flagged in time, and changes of projected rates."""
    figures: list[Row] = []

    def figure(measure: str, about: str, unit: str | None, n: int, **values: float | None) -> None:
        names = ("share", "mean", "mean_abs", "largest")
        figures.append(
            {
                "measure": measure,
                "about": about,
                "unit": unit,
                "n": n,
                **{name: values.get(name) for name in names},
            }
        )

    for measure in ("calm", "crisis"):
        rows = [row for rows in worlds.values() for row in rows if row["measure"] == measure]
        n = sum(row["n"] for row in rows)
        figure(measure, "", None, n, share=sum(row["total"] for row in rows) / n if n else None)
    for kind in dict.fromkeys(KINDS.values()):
        about = label(kind)
        rows = [row for name, rows in worlds.items() if KINDS.get(name) == kind for row in rows]
        if not rows:
            continue
        for is_whole, where in ((True, "all"), (False, "marketplace")):
            flags, rates = (
                [
                    row
                    for row in rows
                    if row["measure"] == measure and (row["entity_type"] == "all") == is_whole
                ]
                for measure in ("flag", "rate")
            )
            in_time = [row for row in flags if row["n"] is not None and row["n"] <= DAYS_TO_FLAG]
            lags = [row["total"] for row in in_time]
            figure(
                f"flagged as delayed, {where}",
                about,
                None,
                len(flags),
                share=len(in_time) / len(flags),
                mean=sum(lags) / len(lags) if lags else None,
                mean_abs=sum(row["n"] for row in in_time) / len(in_time) if in_time else None,
                largest=max((row["n"] for row in in_time), default=None),
            )
            figure(
                f"rate called falling, {where}",
                about,
                None,
                len(rates),
                share=sum(row["total"] for row in rates) / len(rates),
            )
        for entity_type, period, unit, maturity_of in product(
            ENTITY_TYPES, PERIODS, UNITS, ("base", "delayed")
        ):
            chosen = [
                row
                for row in rows
                if row["measure"] == "change"
                and (row["entity_type"], row["period"], row["unit"], row["maturity_of"])
                == (entity_type, period, unit, maturity_of)
                and row["n"]
            ]
            n = sum(row["n"] for row in chosen)
            if n:
                figure(
                    f"change, {entity_type}, {period}, maturity of {maturity_of}",
                    about,
                    unit,
                    n,
                    share=sum(row["small"] for row in chosen) / n,
                    mean=math.fsum(row["total"] for row in chosen) / n,
                    mean_abs=math.fsum(row["total_abs"] for row in chosen) / n,
                    largest=max(row["largest"] for row in chosen),
                )
        falls = [row for row in rows if row["measure"] == "fall" and row["n"]]
        n = sum(row["n"] for row in falls)
        if n:
            figure(
                "fall",
                about,
                "lines",
                n,
                mean=math.fsum(row["total"] for row in falls) / n,
                share=math.fsum(row["largest"] for row in falls) / len(falls),
            )
    return figures


def label(kind: tuple[str, int, int]) -> str:
    """What is done to a world, in words."""
    what, days, late = kind
    if what == "fall":
        return f"a third fewer returns of the last {days} days' sales"
    return f"{late} days late in the last {days} days"


def missed(figures: list[Row]) -> list[str]:
    """What is not as the claim says."""
    problems = []
    for row in figures:
        what = f"{row['about']}: {row['measure']}, {row['unit'] or ''}".rstrip(", ")
        is_fall = row["about"].startswith("a third")
        if row["measure"] == "calm" and row["share"] > 0:
            problems.append(f"false alarms on {100 * row['share']:.1f} % of calm days")
        if row["measure"] == "flagged as delayed, all":
            if is_fall and row["share"] > 0:
                problems.append(f"{what} in {100 * row['share']:.0f} %")
            if not is_fall and row["share"] < 1:
                problems.append(f"{what} in only {100 * row['share']:.0f} %")
        if not is_fall and row["measure"].startswith("change, all, ") and row["unit"] in STEADY:
            # single weeks are noisier than a point, so for them it is the mean with its sign
            how = "mean_abs" if ", month, " in row["measure"] else "mean"
            if abs(row[how]) >= LARGEST_CHANGE:
                problems.append(f"{what}: {how} {100 * row[how]:.2f} points")
    return problems


def summary(figures: list[Row]) -> str:
    """The figures that the README shows, as Markdown."""

    def get(about: str, measure: str, unit: str | None = None) -> Row:
        wanted = (about, measure, unit)
        return next(row for row in figures if (row["about"], row["measure"], row["unit"]) == wanted)

    def change(about: str, period: str, unit: str) -> str:
        row = get(about, f"change, all, {period}, maturity of base", unit)
        return f"{100 * row['mean_abs']:.2f}, {100 * row['largest']:.2f}"

    lines = [
        "| | worlds | flagged in time | after days | days late found | months: lines | units "
        "| value | weeks: lines |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind in dict.fromkeys(KINDS.values()):
        about = label(kind)
        flagged = get(about, "flagged as delayed, all")
        in_time = round(flagged["share"] * flagged["n"])
        cells = [about, str(flagged["n"]), str(in_time)]
        if kind[0] == "shift":
            cells += [f"{flagged['mean_abs']:.1f}", f"{flagged['mean']:.1f}"]
            cells += [change(about, "month", unit) for unit in UNITS]
            cells += [change(about, "week", "lines")]
        else:
            cells += [""] * 6
        lines.append(f"| {' | '.join(cells)} |")
    calm = get("", "calm")
    falls = [get(label(kind), "rate called falling, all") for kind in KINDS.values() if not kind[2]]
    called = sum(row["share"] * row["n"] for row in falls[:1])
    lines += [
        "",
        f"Without a delay {calm['n']:,} days of marketplaces were looked at and "
        f"{round(calm['share'] * calm['n'])} flagged. `rate_status` called the rate falling in "
        f"{round(called)} of {falls[0]['n']} worlds where it fell.",
    ]
    return "\n".join(lines)


def show(figures: list[Row]) -> str:
    """The figures as Markdown: lines only; changes in points of the rate."""

    def text(value: float | None, scale: float = 1, digits: int = 2) -> str:
        return "" if value is None else f"{scale * value:.{digits}f}"

    lines = [
        "share: of worlds flagged, or of cohorts whose projected rate moved by less than a point;"
        " mean: days of lag found, or points",
        "",
        "| | | n | share % | mean | mean abs. | largest |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in figures:
        if row["unit"] not in (None, "lines"):
            continue
        scale = 100 if row["measure"].startswith("change") else 1
        lines.append(
            f"| {row['about']} | {row['measure']} | {row['n']} "
            f"| {text(row['share'], 100, 1)} | {text(row['mean'], scale)} "
            f"| {text(row['mean_abs'], scale)} | {text(row['largest'], scale)} |"
        )
    return "\n".join(lines)


def _worlds() -> tuple[dict[str, World], dict[str, tuple[str, int, int]]]:
    worlds = {}
    kinds = {}
    for seed in SEEDS:
        worlds[f"seed {seed}"] = World(f"seed {seed}", {"seed": seed})
        for (days, late), count in SHIFTS.items():
            if seed <= count:
                name = f"seed {seed}, {late} days late from day {DAYS - days}"
                worlds[name] = World(name, {"seed": seed, "delay_shift": (DAYS - days, late)})
                kinds[name] = ("shift", days, late)
        for days, count in FALLS.items():
            if seed <= count:
                name = f"seed {seed}, a third fewer from day {DAYS - days}"
                worlds[name] = World(name, {"seed": seed}, partial(a_third_fewer, days=days))
                kinds[name] = ("fall", days, 0)
    return worlds, kinds


WORLDS, KINDS = _worlds()

DELAY = Proof(
    name="delay",
    claim="A delay that hits every open cohort from one day on is flagged within two weeks and "
    "moves the projected rates of cohorts of which 30 % or more of the returns have come by less "
    "than a point; a falling return rate is not flagged.",
    marts=("return_delays", "return_rates"),
    worlds=tuple(WORLDS.values()),
    subset=(f"seed 1, 7 days late from day {DAYS - 14}",),
    compute=compute,
    pool=pool,
    missed=missed,
    show=show,
    summary=summary,
)
