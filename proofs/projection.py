"""Projected final return rates against what then came back, replayed month by month."""

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from proofs import truth
from proofs.harness import Built, Proof, Row, Workshop, World, fetch

AS_OF_DATES = 12
LARGEST_BIAS = 0.005  # points of the rate, at maturity 0.30 and more
COVERAGE = (0.87, 0.93)  # of the 90 % interval
COVERED = ("any",)  # promised of all entities together, shown for their types

# maturity bands; nothing is left to project from 0.99 on
BANDS = ("0.00-0.10", "0.10-0.30", "0.30-0.50", "0.50-0.70", "0.70-0.90", "0.90-0.99", "0.99-1.00")
TARGET = "0.30-0.99"
UNITS = ("lines", "units", "value")
ENTITY_TYPES = {
    "any": ("all", "marketplace", "category"),
    **{entity_type: (entity_type,) for entity_type in ("all", "marketplace", "category")},
}
COHORT_KINDS = ("any", "month", "last_30_days")
FINALS = ("traceable", "truth", "ledger")

# every projection of the last as-of dates beside three finals: the ledger's own (if it is final),
# the truth as far as returns can be traced to a sale, and the whole truth
COMPARED = """
create or replace temp table compared as
with known_days as (
    select distinct known_on
    from marts.return_projection_backtest
    where known_on = last_day(known_on)
    order by known_on desc
    limit $as_of_dates
),
projections as (
    select *
    from marts.return_projection_backtest
    inner join known_days using (known_on)
    where denominator > 0 and projected_rate is not null
),
cohorts as (
    select distinct cohort_start, cohort_end, entity_type, entity_id, unit from projections
),
finals as (
    select
        cohorts.*,
        sum(sold) as sold,
        sum(returned) / sum(sold) as true_rate,
        coalesce(sum(traceable), 0) / sum(sold) as traceable_rate
    from cohorts
    inner join true_days
        on
            true_days.ordered_on between cohort_start and cohort_end
            and true_days.entity_type = cohorts.entity_type
            and true_days.entity_id = cohorts.entity_id
            and true_days.unit = cohorts.unit
    group by all
)
select
    known_on,
    cohort_kind,
    cohort_start,
    cohort_end,
    projections.entity_type,
    projections.entity_id,
    projections.unit,
    denominator::double as denominator,
    sold,
    maturity,
    naive_rate,
    projected_rate,
    projected_lo,
    projected_hi,
    unnest(['ledger', 'traceable', 'truth']) as final,
    unnest([case when is_final then final_rate end, traceable_rate, true_rate]) as final_rate
from projections
inner join finals using (cohort_start, cohort_end, entity_type, entity_id, unit)
"""

# by kind of cohort, and against other finals than the traceable one, one band is enough
SUMS = """
with measured as (
    select
        final,
        cohort_kind,
        entity_type,
        unit,
        maturity,
        denominator,
        projected_rate - final_rate as error,
        naive_rate - final_rate as naive_error,
        projected_hi - projected_lo as width,
        final_rate between projected_lo - 1e-9 and projected_hi + 1e-9 as is_covered
    from compared
    where final_rate is not null
),
banded as (
    select
        * exclude (cohort_kind, maturity),
        'any' as cohort_kind,
        case
            when maturity < 0.1 then '0.00-0.10'
            when maturity < 0.3 then '0.10-0.30'
            when maturity < 0.5 then '0.30-0.50'
            when maturity < 0.7 then '0.50-0.70'
            when maturity < 0.9 then '0.70-0.90'
            when maturity < 0.99 then '0.90-0.99'
            else '0.99-1.00'
        end as maturity
    from measured
    where final = 'traceable'
    union all
    select * exclude (cohort_kind, maturity), cohort_kind, '0.30-0.99'
    from measured
    where final = 'traceable' and maturity >= 0.3 and maturity < 0.99
    union all
    select * exclude (cohort_kind, maturity), 'any', '0.30-0.99'
    from measured
    where final != 'traceable' and maturity >= 0.3 and maturity < 0.99
)
select
    final,
    cohort_kind,
    entity_type,
    unit,
    maturity,
    count(*) as n,
    count(*) filter (where is_covered) as covered,
    round(sum(width), 6) as width,
    round(sum(error), 6) as error,
    round(sum(abs(error)), 6) as abs_error,
    round(sum(naive_error), 6) as naive_error,
    round(sum(denominator)) as weight,
    round(sum(denominator * error), 2) as weighted_error,
    round(sum(denominator * naive_error), 2) as weighted_naive_error
from banded
group by all
order by all
"""


def compare(built: Built) -> list[Row]:
    """Sums of errors per kind of cohort, entity, unit and maturity; also for one's own look."""
    with built.connect() as connection:
        connection.execute("set threads = 1")  # sums of doubles in one order
        connection.execute(truth.SOLD_LINES)
        connection.execute(truth.DAYS)
        connection.execute(COMPARED, {"as_of_dates": AS_OF_DATES})
        return fetch(connection, SUMS)


def compute(world: World, workshop: Workshop) -> list[Row]:
    """The errors of one world; where every return names its line, one final is enough."""
    is_by_line = world.options.get("return_shape") == "line"
    return [
        {"returns": "by line" if is_by_line else "mixed", **row}
        for row in workshop.measure(world, compare)
        if row["final"] == "traceable" or not is_by_line
    ]


def pool(worlds: dict[str, list[Row]]) -> list[Row]:
    """Means over all worlds, as-of dates, cohorts and entities, with standard errors by world."""
    figures = []
    everything: dict[tuple, dict[str, list[Row]]] = {}
    for name, rows in worlds.items():
        for row in rows:
            for key in _keys(row):
                everything.setdefault(key, {}).setdefault(name, []).append(row)
    for key in product(
        ("mixed", "by line"), FINALS, COHORT_KINDS, UNITS, ENTITY_TYPES, (TARGET, *BANDS)
    ):
        if not (chosen := everything.get(key)):
            continue
        returns, final, kind, unit, entity_type, band = key

        def mean(column: str, per: str = "n", chosen: dict = chosen) -> tuple[float, float]:
            return ratio(
                [
                    (sum(row[column] for row in rows), sum(row[per] for row in rows))
                    for rows in chosen.values()
                ]
            )

        bias, bias_se = mean("error")
        coverage, coverage_se = mean("covered")
        figures.append(
            {
                "returns": returns,
                "final": final,
                "cohort_kind": kind,
                "entity_type": entity_type,
                "unit": unit,
                "maturity": band,
                "n": sum(row["n"] for rows in chosen.values() for row in rows),
                "bias": bias,
                "bias_se": bias_se,
                "mean_absolute_error": mean("abs_error")[0],
                "coverage": coverage,
                "coverage_se": coverage_se,
                "width": mean("width")[0],
                "naive_bias": mean("naive_error")[0],
                "weighted_bias": mean("weighted_error", "weight")[0],
                "weighted_naive_bias": mean("weighted_naive_error", "weight")[0],
            }
        )
    return figures


def _keys(row: Row) -> Iterator[tuple]:
    """The figures that a row belongs to: its band and, if it is a part of it, the target."""
    is_narrow = row["maturity"] in BANDS[2:6]
    for entity_type, parts in ENTITY_TYPES.items():
        for band in (row["maturity"], TARGET) if is_narrow else (row["maturity"],):
            if row["entity_type"] in parts:
                yield (
                    *(row["returns"], row["final"], row["cohort_kind"], row["unit"]),
                    *(entity_type, band),
                )


def ratio(sums: list[tuple[float, float]]) -> tuple[float, float]:
    """A mean from (sum, count) of each world, and its standard error between worlds (0 for one)."""
    total = math.fsum(count for _, count in sums)
    mean = math.fsum(value for value, _ in sums) / total
    if len(sums) == 1:
        return mean, 0.0
    spread = math.fsum((value - mean * count) ** 2 for value, count in sums)
    return mean, math.sqrt(spread * len(sums) / (len(sums) - 1)) / total


def find(figures: list[Row], **wanted: str) -> list[Row]:
    """The figures with these values; of mixed returns against what can be traced, unless said."""
    wanted = {"returns": "mixed", "final": "traceable", "cohort_kind": "any", **wanted}
    return [row for row in figures if all(row[key] == value for key, value in wanted.items())]


def missed(figures: list[Row]) -> list[str]:
    """What is not as the claim says."""
    problems = []
    for row in find(figures, maturity=TARGET):
        what = f"{row['unit']}, {row['entity_type']}"
        if abs(row["bias"]) > LARGEST_BIAS:
            problems.append(f"{what}: bias {100 * row['bias']:+.2f} points")
    # lines, units and value together; each by itself is in the figures
    rows = [row for row in find(figures, maturity=TARGET) if row["entity_type"] in COVERED]
    covered = sum(row["n"] * row["coverage"] for row in rows) / sum(row["n"] for row in rows)
    if not COVERAGE[0] <= covered <= COVERAGE[1]:
        problems.append(f"coverage {100 * covered:.1f} %")
    return problems


COLUMNS = {
    "n": lambda row: f"{row['n']:,}",
    "bias": lambda row: f"{100 * row['bias']:+.2f} ± {100 * row['bias_se']:.2f}",
    "absolute error": lambda row: f"{100 * row['mean_absolute_error']:.2f}",
    "coverage %": lambda row: f"{100 * row['coverage']:.1f} ± {100 * row['coverage_se']:.1f}",
    "width": lambda row: f"{100 * row['width']:.1f}",
    "naive bias": lambda row: f"{100 * row['naive_bias']:+.2f}",
    "weighted bias": lambda row: f"{100 * row['weighted_bias']:+.2f}",
    "weighted naive bias": lambda row: f"{100 * row['weighted_naive_bias']:+.2f}",
}


def _table(rows: list[Row], keys: tuple[str, ...], columns: tuple[str, ...]) -> list[str]:
    lines = [f"| {' | '.join([*keys, *columns])} |".replace("entity_type", "entities")]
    lines += ["|" + "---|" * len(keys) + "---:|" * len(columns)]
    for row in rows:
        values = [*(row[key] for key in keys), *(COLUMNS[column](row) for column in columns)]
        lines.append(f"| {' | '.join(values)} |".replace("last_30_days", "last 30 days"))
    return lines


def summary(figures: list[Row]) -> str:
    """The figures that the README shows, as Markdown."""
    shown = ("n", "bias", "absolute error", "coverage %", "width", "naive bias")
    keys = ("unit", "entity_type", "maturity")
    return "\n".join(
        [
            *_table(find(figures, maturity=TARGET), keys, shown),
            "",
            "By maturity, all entities together, and the last 30 days by themselves:",
            "",
            *_table(
                [row for row in find(figures, entity_type="any") if row["maturity"] != TARGET]
                + find(figures, entity_type="any", cohort_kind="last_30_days"),
                ("unit", "cohort_kind", "maturity"),
                shown,
            ),
        ]
    )


def show(figures: list[Row]) -> str:
    """The figures as Markdown: points of the rate, coverage of the 90 % interval in per cent."""
    keys = ("unit", "entity_type", "maturity")
    return "\n".join(
        [
            "Against the truth as far as returns can be traced to a sale:",
            "",
            *_table(find(figures), keys, tuple(COLUMNS)),
            "",
            "By kind of cohort, against other finals, and where every return names its line:",
            "",
            *_table(
                [row for row in figures if row["maturity"] == TARGET and row not in find(figures)],
                ("returns", "final", "cohort_kind", *keys[:2]),
                tuple(COLUMNS),
            ),
        ]
    )


PROJECTION = Proof(
    name="projection",
    claim="Projected return rates of cohorts of which 30 % or more of the returns have come are "
    "right to half a point on average, and their 90 % interval covers 87 to 93 %.",
    marts=("return_projection_backtest",),
    worlds=(
        *(World(f"seed {seed}", {"seed": seed}) for seed in range(1, 21)),
        *(
            World(f"seed {seed}, by line", {"seed": seed, "return_shape": "line"})
            for seed in range(1, 4)
        ),
    ),
    subset=("seed 1",),
    compute=compute,
    pool=pool,
    missed=missed,
    show=show,
    summary=summary,
    helpers=(Path(truth.__file__),),
)
