"""Verdicts on simulated sellers whose faults are known, and on sellers that are all alike.

Each world of the harness is a batch of simulated marketplaces, built together as so many sources.
The simulation draws order lines, adds them up to the cells of int_risk_cells, and lets the SQL of
the models do everything from there: benchmark, peers, intervals, tests, tiers.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from proofs.harness import Proof, Row, Workshop, World, dbt, fetch

SELLERS = 2_000
IDENTICAL_SELLERS = 200
WORLDS, IDENTICAL_WORLDS = 50, 400  # in batches of:
BATCH, IDENTICAL_BATCH = 10, 100
WINDOWS = (90, 365)
FAULTY = 0.08  # share of sellers with a fault: 1.7 to 3 times the odds of a return
SPREAD = 0.20  # standard deviation of the log-odds of all others
SIZE_MEDIAN, SIZE_SPREAD = 55, 1.3  # lines in a year, log-normal: four fifths sell 10 to 290
DELAY = 10  # days, exponential
BASE = (0.06, 0.12, 0.20, 0.35, 0.50)  # return rate of each category; the last is shoes
SHOES = len(BASE) - 1

# the targets of issue and handbook
COVERAGE = (0.93, 0.97)
FALSE_DISCOVERIES = 0.12
RMSE_RATIO = 0.60
PRECISION_GAIN = 0.10
FALSE_ALARM = 0.05

# sellers of every mixed world that are made for one question each
ONE_OF_ONE, SHOES_ONLY, FAULT = "one of one", "shoes only", "faulty"

MODELS = (
    "int_risk_benchmarks",
    "int_risk_entities",
    "int_risk_spreads",
    "int_risk_posteriors",
    "int_risk_tests",
    "int_risk_assessed",
    "seller_risk",
)


@dataclass(frozen=True)
class Simulated:
    """One marketplace: per line its seller, cell, age, maturity and fate; per seller the truth."""

    names: np.ndarray  # (sellers,) names
    is_faulty: np.ndarray  # (sellers,) bool
    ratio: np.ndarray  # (sellers,) expected returns over what the lines of all would bring back
    lines: Mapping[str, np.ndarray]  # columns of equal length


def simulate(rng: np.random.Generator, sellers: int, identical: bool) -> Simulated:
    """Draw one marketplace; with `identical` no seller differs from any other."""
    size = np.maximum(5, np.exp(rng.normal(math.log(SIZE_MEDIAN), SIZE_SPREAD, sellers))).astype(
        int
    )
    names = np.array([f"S{number:05}" for number in range(sellers)], dtype=object)
    home = rng.integers(0, len(BASE), sellers)
    is_faulty = np.zeros(sellers, bool)
    odds = np.ones(sellers)
    loyalty = np.full(sellers, 0.7)  # share of the lines in the home category
    if not identical:
        is_faulty = rng.random(sellers) < FAULTY
        odds = np.exp(rng.normal(0, SPREAD, sellers))
        odds = odds * np.where(is_faulty, rng.uniform(1.7, 3.0, sellers), 1)
        for number, name in enumerate((ONE_OF_ONE, SHOES_ONLY, FAULT)):
            names[number] = name
            is_faulty[number] = name == FAULT
            odds[number] = 3 if name == FAULT else 1
            size[number] = 1 if name == ONE_OF_ONE else 400
        home[1], loyalty[1] = SHOES, 1.0
        home[2], loyalty[2] = 2, 1.0

    seller = np.repeat(np.arange(sellers), size)
    count = len(seller)
    at_home = rng.random(count) < loyalty[seller]
    category = np.where(at_home, home[seller], rng.integers(0, len(BASE), count))
    band_and_season = rng.integers(0, 12, count)
    country_and_customer = rng.integers(0, 9, count)
    effects = [0.15 * rng.normal(size=(len(BASE), cells)) for cells in (12, 9)]
    base = np.log(np.array(BASE) / (1 - np.array(BASE)))[category]
    base = base + effects[0][category, band_and_season] + effects[1][category, country_and_customer]
    chance = 1 / (1 + np.exp(-base - np.log(odds)[seller]))
    age = rng.integers(0, WINDOWS[-1], count)
    maturity = np.round(1 - np.exp(-(age + 0.5) / DELAY), 6)
    returned = rng.random(count) < chance * maturity
    if not identical:  # one old line, and it came back
        age[0], maturity[0], returned[0] = 200, 1.0, True
    # what all sellers' lines of the same cell do on average is what one has to expect
    cell = (category * 12 + band_and_season) * 9 + country_and_customer
    usual = (np.bincount(cell, chance) / np.maximum(np.bincount(cell), 1))[cell]
    return Simulated(
        names,
        is_faulty,
        np.bincount(seller, chance) / np.bincount(seller, usual),
        {
            "seller": seller,
            "category": category,
            "stratum_2": band_and_season,
            "stratum_3": country_and_customer,
            "age": age,
            "maturity": maturity,
            "returned": returned,
        },
    )


def fill(connection: duckdb.DuckDBPyConnection, worlds: Mapping[str, Simulated]) -> None:
    """Write what the risk models read, each marketplace as a source of its own."""
    connection.execute("create temp table truth (source text, seller_no int, seller_id text)")
    connection.execute(
        "create temp table drawn (source text, seller int, category int, stratum_2 int, "
        "stratum_3 int, age int, maturity decimal(9, 6), returned boolean)"
    )
    for source, world in worlds.items():
        numbers = {"number": np.arange(len(world.names)), "name": world.names.astype(str)}
        connection.register("sellers_now", numbers)
        connection.execute("insert into truth select ?, number, name from sellers_now", [source])
        connection.register("lines_now", dict(world.lines))
        connection.execute("insert into drawn select ?, * from lines_now", [source])
        connection.unregister("sellers_now")
        connection.unregister("lines_now")
    windows = ", ".join(f"({days}::bigint)" for days in WINDOWS)
    cell = (
        "'c' || category, category::bigint, (category * 12 + stratum_2)::bigint, "
        "((category * 12 + stratum_2) * 9 + stratum_3)::bigint"
    )
    sums = (
        "count(*) as compared_lines, sum(returned::int)::bigint as returned_lines, "
        "sum(maturity)::decimal(18, 6) as exposure, "
        "sum(maturity * maturity)::decimal(18, 6) as squares"
    )
    columns = (
        "source, entity_type, entity_id, window_days, category, stratum_1, stratum_2, stratum_3, "
        "compared_lines, returned_lines, exposure, squares"
    )
    connection.execute(
        f"""
        create table intermediate.int_risk_cells as
        with cells as (
            select source, 'seller', seller_id, days, {cell}, {sums}
            from drawn join truth using (source)
            join (values {windows}) as windows (days) on age < days
            where truth.seller_no = drawn.seller group by all
            union all
            select source, 'all', 'all', days, {cell}, {sums}
            from drawn join (values {windows}) as windows (days) on age < days group by all
        )
        select * from cells as cells ({columns})
        """
    )
    surround(connection)


def surround(connection: duckdb.DuckDBPyConnection) -> None:
    """Write what else the models read, of nothing but intermediate.int_risk_cells."""
    connection.execute(
        """
        create table intermediate.int_risk_sales as
        select source, entity_type, entity_id, 'peers' as compared_with, window_days,
            sum(compared_lines)::bigint as lines, sum(compared_lines)::bigint as comparable_lines,
            sum(returned_lines)::bigint as returned_lines, sum(exposure) as exposure,
            sum(compared_lines * 50)::decimal(18, 4) as net_amount
        from intermediate.int_risk_cells group by all
        """
    )
    sources = "(select distinct source from intermediate.int_risk_cells)"
    connection.execute(
        f"""
        create table intermediate.int_sources as
            select source, 'EUR' as reporting_currency, date '2026-06-30' as as_of_date
            from {sources};
        create table intermediate.int_as_of_dates as
            select source, date '2026-06-30' as as_of_date, true as is_current from {sources};
        create table intermediate.int_return_dispersion as
            select source, date '2026-06-30' as as_of_date, 'lines' as unit,
                1.0::double as dispersion
            from {sources};
        create table intermediate.int_return_costs_held as
            select source, 'all' as entity_type, 'all' as entity_id,
                10.0::double as cost_per_return
            from {sources};
        create table marts.sellers as
            select distinct source, entity_id as seller_id, entity_id as seller_name
            from intermediate.int_risk_cells where entity_type = 'seller';
        create table intermediate.int_risk_past as
            select source, 'category' as entity_type, 'c' as entity_id, 90::bigint as window_days,
                'c' as category, 0::bigint as compared_lines, 0::bigint as observed,
                0::decimal(18, 6) as exposure, 0::decimal(18, 9) as expected,
                0::decimal(18, 9) as expected_final, 0::decimal(18, 9) as expected_squares,
                0::decimal(18, 9) as benchmark_variance
            from intermediate.int_risk_cells limit 0
        """
    )


def judge_cells(folder: Path, write: Callable[[duckdb.DuckDBPyConnection], None]) -> Path:
    """Let `write` fill a new warehouse in this folder and dbt judge its sellers; the warehouse.

    Raises RuntimeError with what dbt said if it fails.
    """
    warehouse = folder / "warehouse.duckdb"
    warehouse.unlink(missing_ok=True)
    # landing wants a file to read
    raw = folder / "raw" / "simulated"
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "order_lines.csv").write_text(
        "order_id,ordered_at,product_id,quantity,unit_price\n1,2026-06-30,1,1,1\n",
        encoding="utf-8",
    )
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create schema intermediate; create schema marts")
        write(connection)
    vars = {"sources": ["simulated"], "raw": str(raw.parent), "warehouse": str(warehouse)}
    options = ("--vars", json.dumps(vars))
    dbt(
        *("build", "--select", "resource_type:seed", *MODELS),
        *("--exclude-resource-type", "test", "unit_test"),
        *options,
        target=folder / "target",
    )
    return warehouse


def compute(world: World, workshop: Workshop) -> list[Row]:
    """Simulate a batch, let dbt judge its sellers, and say how right it is, marketplace by one."""
    identical = bool(world.options["identical"])
    rng = np.random.default_rng([world.options["seed"], int(identical)])
    sellers = IDENTICAL_SELLERS if identical else SELLERS
    worlds = {
        f"w{number:03}": simulate(rng, sellers, identical)
        for number in range(IDENTICAL_BATCH if identical else BATCH)
    }
    assert workshop.folder, "the workshop is not open"
    warehouse = judge_cells(workshop.folder, lambda connection: fill(connection, worlds))
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return [
            judge(connection, world.name, source, simulated, identical)
            for source, simulated in worlds.items()
        ]


def judge(
    connection: duckdb.DuckDBPyConnection,
    batch: str,
    source: str,
    simulated: Simulated,
    identical: bool,
) -> Row:
    """What the mart says of one marketplace beside the truth."""
    rows = fetch(
        connection,
        """
        select seller_id, window_days, lines, observed, expected, expected_final, o_e_ratio,
            shrunk_ratio, lo, hi, q_value, risk_tier, risk_rank, excess_cost::double as excess_cost
        from marts.seller_risk
        where source = $source and shrunk_ratio is not null
        order by seller_id, window_days
        """,
        source=source,
    )
    number = {name: at for at, name in enumerate(simulated.names)}
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    at = np.array([number[name] for name in table["seller_id"]])
    truth, faulty = simulated.ratio[at], simulated.is_faulty[at]
    q_value = np.array([np.nan if value is None else value for value in table["q_value"]], float)
    year = table["window_days"] == WINDOWS[-1]
    high = table["risk_tier"] == "high"
    chosen = np.nan_to_num(q_value, nan=1.0) <= 0.10
    # the naive rules, on the rates as they are
    rate = table["observed"] / table["lines"]
    mean = table["observed"][year].sum() / table["lines"][year].sum()
    deviation = (rate - mean) / np.sqrt(mean * (1 - mean) / table["lines"])
    row: Row = {
        "batch": batch,
        "source": source,
        "identical": identical,
        "sellers": len(simulated.names),
        "judged": int((~np.isnan(q_value[year])).sum()),
        "high": int(high.sum()),
        "naive_rate": int((rate > 1.5 * mean)[year].sum()),
        "naive_z": int((deviation > 3)[year].sum()),
        "covered_90": None,
        "covered_365": None,
        "chosen": None,
        "chosen_false": None,
        "chosen_better_than_peers": None,
        "faulty_judged": None,
        "rmse_raw": None,
        "rmse": None,
        "precision_raw": None,
        "precision": None,
        "money_precision_raw": None,
        "money_precision": None,
        "shoes_only_high": None,
        "fault_high": None,
        "one_of_one_share_above": None,
        "one_of_one_ranked": None,
    }
    if identical:
        return row

    inside = (table["lo"] <= truth) & (truth <= table["hi"])
    expected_rate = table["expected_final"] / table["lines"]

    def rmse(ratio: np.ndarray) -> float:
        return float(np.sqrt(np.mean((expected_rate * (ratio - truth))[year] ** 2)))

    def precision(guess: np.ndarray, of: np.ndarray) -> float:
        worst = np.argsort(-of[year], kind="stable")[:100]
        return len(set(worst) & set(np.argsort(-guess[year], kind="stable")[:100])) / 100

    raw = table["o_e_ratio"].astype(float)
    shrunk = table["shrunk_ratio"].astype(float)
    excess = np.maximum(truth - 1, 0) * table["expected_final"]
    names = table["seller_id"]
    one = year & (names == ONE_OF_ONE)
    return row | {
        "covered_90": float(inside[~year].mean()),
        "covered_365": float(inside[year].mean()),
        "chosen": int(chosen.sum()),
        "chosen_false": int((chosen & ~faulty).sum()),
        "chosen_better_than_peers": int((chosen & (truth <= 1)).sum()),
        "faulty_judged": int((faulty & ~np.isnan(q_value)).sum()),
        "rmse_raw": rmse(raw),
        "rmse": rmse(shrunk),
        "precision_raw": precision(raw, truth),
        "precision": precision(shrunk, truth),
        # by money: excess returns, every return costs the same
        "money_precision_raw": precision(np.maximum(raw - 1, 0) * table["expected_final"], excess),
        "money_precision": precision(table["excess_cost"].astype(float), excess),
        "shoes_only_high": bool((high & (names == SHOES_ONLY)).any()),
        "fault_high": bool((high & (names == FAULT)).any()),
        "one_of_one_share_above": float((shrunk[year] > shrunk[one].max()).mean()),
        "one_of_one_ranked": any(rank is not None for rank in table["risk_rank"][one].tolist()),
    }


def pool(worlds: dict[str, list[Row]]) -> list[Row]:
    """The figures of all marketplaces together: sellers that differ, and sellers that do not."""
    rows = [row for batch in worlds.values() for row in batch]
    mixed = [row for row in rows if not row["identical"]]
    alike = [row for row in rows if row["identical"]]

    def mean(name: str, of: list[Row]) -> float:
        return math.fsum(row[name] for row in of) / len(of)

    figures: list[Row] = []
    if mixed:
        chosen = sum(row["chosen"] for row in mixed)
        shares = [row["chosen_false"] / max(1, row["chosen"]) for row in mixed]
        better = sum(row["chosen_better_than_peers"] for row in mixed)
        found = chosen - sum(row["chosen_false"] for row in mixed)
        names = ("covered_90", "covered_365", "precision_raw", "precision", "money_precision_raw")
        names = (*names, "money_precision", "high", "naive_rate", "naive_z")
        figures.append(
            {"kind": "different", "worlds": len(mixed), "sellers": mixed[0]["sellers"]}
            | {name: mean(name, mixed) for name in names}
            | {
                "false_discoveries": math.fsum(shares) / len(mixed),
                "better_than_peers": better / max(1, chosen),
                "found": found / sum(row["faulty_judged"] for row in mixed),
                "rmse_ratio": mean("rmse", mixed) / mean("rmse_raw", mixed),
                "shoes_only_high": sum(row["shoes_only_high"] for row in mixed),
                "fault_high": sum(row["fault_high"] for row in mixed),
                "one_of_one_share_above": min(row["one_of_one_share_above"] for row in mixed),
                "one_of_one_ranked": sum(row["one_of_one_ranked"] for row in mixed),
            }
        )
    if alike:
        figures.append(
            {
                "kind": "alike",
                "worlds": len(alike),
                "sellers": alike[0]["sellers"],
                "with_alarm": sum(row["high"] > 0 for row in alike) / len(alike),
                "naive_with_alarm": sum(row["naive_rate"] > 0 for row in alike) / len(alike),
                "naive_rate": mean("naive_rate", alike),
                "naive_z": mean("naive_z", alike),
            }
        )
    return figures


def missed(figures: list[Row]) -> list[str]:
    """Which targets the figures miss."""
    if len(figures) < 2:
        return ["both kinds of worlds are needed"]
    different, alike = figures
    least, most = COVERAGE
    limit = FALSE_ALARM + 2 * math.sqrt(FALSE_ALARM * (1 - FALSE_ALARM) / alike["worlds"])
    one_above = different["one_of_one_share_above"]
    targets = [
        *(
            (f"coverage of {days} days", different[f"covered_{days}"], least, most)
            for days in WINDOWS
        ),
        ("false discoveries", different["false_discoveries"], 0, FALSE_DISCOVERIES),
        ("error over raw error", different["rmse_ratio"], 0, RMSE_RATIO),
        (
            "gain in the worst hundred",
            different["precision"] - different["precision_raw"],
            PRECISION_GAIN,
            1,
        ),
        (
            "worlds with shoes only high",
            different["shoes_only_high"] / different["worlds"],
            0,
            0.05,
        ),
        ("worlds with the fault high", different["fault_high"] / different["worlds"], 0.95, 1),
        ("sellers above 1 of 1", one_above, 0.1, 1),
        ("rank for 1 of 1", different["one_of_one_ranked"], 0, 0),
        ("worlds of equals with an alarm", alike["with_alarm"], 0, limit),
    ]
    return [
        f"{what}: {found:.3f}, not in {low:.3f} to {high:.3f}"
        for what, found, low, high in targets
        if not low <= found <= high
    ]


def show(figures: list[Row]) -> str:
    """The figures as Markdown tables, one of sellers that differ and one of sellers alike."""
    return "\n\n".join(
        "\n".join(
            [f"| {header} | found | target |", "|---|---:|---:|"]
            + [f"| {what} | {found} | {target} |" for what, found, target in lines]
        )
        for header, lines in map(table, figures)
    )


def table(row: Row) -> tuple[str, list[tuple[str, str, str]]]:
    """Heading and lines of the table of one row of figures: what, found, target."""

    def percent(name: str) -> str:
        return f"{100 * row[name]:.1f} %"

    if row["kind"] == "alike":
        return f"{row['worlds']} marketplaces of {row['sellers']} sellers, all alike", [
            ("with any seller *high*", percent("with_alarm"), "≤ 5 % + 2 se"),
            ("with a naive alarm: rate > 1.5 x mean", percent("naive_with_alarm"), ""),
            ("naive alarms in each: rate > 1.5 x mean", f"{row['naive_rate']:.1f}", ""),
            ("naive alarms in each: z > 3", f"{row['naive_z']:.1f}", ""),
        ]
    header = f"{row['worlds']} marketplaces of {row['sellers']:,} sellers, {FAULTY:.0%} faulty"
    return header, [
        ("true ratio in the 95 % interval, 365 days", percent("covered_365"), "93 to 97 %"),
        ("the same, 90 days", percent("covered_90"), "93 to 97 %"),
        ("of q ≤ 0.10: sellers without a fault", percent("false_discoveries"), "≤ 12 %"),
        ("of q ≤ 0.10: sellers no worse than usual", percent("better_than_peers"), ""),
        ("faulty sellers with enough data that have q ≤ 0.10", percent("found"), ""),
        ("error of the shrunk rate over that of the raw one", f"{row['rmse_ratio']:.2f}", "≤ 0.60"),
        ("of the worst 100, in the first 100 by raw ratio", percent("precision_raw"), ""),
        ("the same by shrunk ratio", percent("precision"), "raw + 10"),
        ("of the costliest 100, first by raw excess", percent("money_precision_raw"), ""),
        ("the same by excess_cost", percent("money_precision"), ""),
        ("verdicts *high* in each", f"{row['high']:.0f}", ""),
        ("naive alarms in each: rate > 1.5 x mean", f"{row['naive_rate']:.0f}", ""),
        ("naive alarms in each: z > 3", f"{row['naive_z']:.0f}", ""),
        ("worlds where the seller of shoes only is *high*", f"{row['shoes_only_high']}", "≤ 5 %"),
        ("worlds where the known fault is *high*", f"{row['fault_high']}", "≥ 95 %"),
        ("sellers above 1 of 1, at least", percent("one_of_one_share_above"), "≥ 10 %"),
        ("worlds where 1 of 1 has a rank", f"{row['one_of_one_ranked']}", "0"),
    ]


def batches(name: str, worlds: int, batch: int, identical: bool) -> tuple[World, ...]:
    return tuple(
        World(f"{name} {number + 1}", {"seed": number + 1, "identical": identical})
        for number in range(worlds // batch)
    )


SELLERS_PROOF = Proof(
    name="sellers",
    claim=(
        "Intervals of sellers hold the truth, verdicts are mostly right, ranks are better than raw "
        "ones, and sellers that are all alike raise no alarm."
    ),
    marts=("seller_risk",),
    worlds=(
        *batches("different", WORLDS, BATCH, False),
        *batches("alike", IDENTICAL_WORLDS, IDENTICAL_BATCH, True),
    ),
    subset=("different 1",),
    compute=compute,
    pool=pool,
    missed=missed,
    show=show,
    summary=show,
)
