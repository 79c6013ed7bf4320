"""Projected final return rates against what then came back, replayed month by month."""

import math
from itertools import product
from pathlib import Path

from proofs import truth
from proofs.harness import Built, Proof, Row, Workshop, World, fetch

AS_OF_DATES = 12
LARGEST_BIAS = 0.005  # points of the rate, at maturity 0.30 and more
COVERAGE = (0.87, 0.93)  # of the 90 % interval

# maturity bands; nothing is left to project from 0.99 on
BANDS = ("0.00-0.10", "0.10-0.30", "0.30-0.50", "0.50-0.70", "0.70-0.90", "0.90-0.99", "0.99-1.00")
POOLED_BANDS = {
    "0.30-1.00": BANDS[2:],
    "0.30-0.99": BANDS[2:6],
}
UNITS = ("lines", "units", "value")
ENTITY_TYPES = ("all", "marketplace", "category")
COHORT_KINDS = {"month": ("month",), "last_30_days": ("last_30_days",), "any": None}

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

SUMS = """
with measured as (
    select
        final,
        cohort_kind,
        entity_type,
        unit,
        case
            when final != 'traceable' and maturity >= 0.3 and maturity < 0.99 then '0.30-0.99'
            when maturity < 0.1 then '0.00-0.10'
            when maturity < 0.3 then '0.10-0.30'
            when maturity < 0.5 then '0.30-0.50'
            when maturity < 0.7 then '0.50-0.70'
            when maturity < 0.9 then '0.70-0.90'
            when maturity < 0.99 then '0.90-0.99'
            else '0.99-1.00'
        end as maturity,
        denominator,
        projected_rate - final_rate as error,
        naive_rate - final_rate as naive_error,
        projected_hi - projected_lo as width,
        final_rate between projected_lo - 1e-9 and projected_hi + 1e-9 as is_covered
    from compared
    where final_rate is not null
)
select
    final,
    cohort_kind,
    entity_type,
    unit,
    maturity,
    count(*) as n,
    count(*) filter (where is_covered) as covered,
    sum(width) as width,
    sum(error) as error,
    sum(abs(error)) as abs_error,
    sum(naive_error) as naive_error,
    sum(abs(naive_error)) as abs_naive_error,
    sum(denominator) as weight,
    sum(denominator * error) as weighted_error,
    sum(denominator * naive_error) as weighted_naive_error
from measured
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
    """The errors of one world."""
    returns = "by line" if world.options.get("return_shape") == "line" else "mixed"
    return [{"returns": returns, **row} for row in workshop.measure(world, compare)]


def pool(worlds: dict[str, list[Row]]) -> list[Row]:
    """Means over all worlds, as-of dates, cohorts and entities, with standard errors by world."""
    figures = []
    bands = {**{band: (band,) for band in BANDS}, **POOLED_BANDS}
    everything = [(name, row) for name, rows in worlds.items() for row in rows]
    for returns, final, (kind, kinds), entity_type, unit, (band, parts) in product(
        ("mixed", "by line"),
        ("traceable", "truth", "ledger"),
        COHORT_KINDS.items(),
        ENTITY_TYPES,
        UNITS,
        bands.items(),
    ):
        # narrow bands for the finals that targets are about, and apart from the kind of cohort
        if band in BANDS and (final != "traceable" or kind != "any"):
            continue
        chosen: dict[str, list[Row]] = {}
        for name, row in everything:
            if (
                (row["returns"], row["final"], row["entity_type"], row["unit"])
                == (returns, final, entity_type, unit)
                and (kinds is None or row["cohort_kind"] in kinds)
                and row["maturity"] in (*parts, band)
            ):
                chosen.setdefault(name, []).append(row)
        if not chosen:
            continue

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
                "naive_mean_absolute_error": mean("abs_naive_error")[0],
                "weighted_bias": mean("weighted_error", "weight")[0],
                "weighted_naive_bias": mean("weighted_naive_error", "weight")[0],
            }
        )
    return figures


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
    for row in find(figures):
        what = f"{row['unit']}, {row['entity_type']}, maturity {row['maturity']}"
        if row["maturity"] >= "0.30" and abs(row["bias"]) > LARGEST_BIAS:
            problems.append(f"{what}: bias {100 * row['bias']:+.2f} points")
        if row["maturity"] == "0.30-0.99" and not COVERAGE[0] <= row["coverage"] <= COVERAGE[1]:
            problems.append(f"{what}: coverage {100 * row['coverage']:.1f} %")
    return problems


def show(figures: list[Row]) -> str:
    """The figures as Markdown: points of the rate, coverage of the 90 % interval in per cent."""

    def table(rows: list[Row], *columns: str) -> list[str]:
        names = [*columns, "n", "bias", "± s.e.", "abs. error", "coverage", "± s.e.", "width"]
        names += ["naive bias", "naive abs.", "weighted bias", "weighted naive"]
        lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(columns) + "---:|" * 11]
        for row in rows:
            values = [f"{100 * row[name]:+.2f}" for name in ("bias",)]
            values += [f"{100 * row[name]:.2f}" for name in ("bias_se", "mean_absolute_error")]
            values += [f"{100 * row[name]:.1f}" for name in ("coverage", "coverage_se")]
            values += [f"{100 * row['width']:.2f}", f"{100 * row['naive_bias']:+.2f}"]
            values += [f"{100 * row['naive_mean_absolute_error']:.2f}"]
            values += [
                f"{100 * row[name]:+.2f}" for name in ("weighted_bias", "weighted_naive_bias")
            ]
            values = [*(str(row[column]) for column in columns), f"{row['n']:,}", *values]
            lines.append(f"| {' | '.join(values)} |")
        return lines

    keys = ("unit", "entity_type", "maturity")
    return "\n".join(
        [
            "Against the truth as far as returns can be traced to a sale, by maturity:",
            "",
            *table(find(figures), *keys),
            "",
            "The naive rate of the last 30 days, and of months, at maturity 0.30 to 0.99:",
            "",
            *table(
                [
                    row
                    for kind in ("last_30_days", "month")
                    for row in find(figures, cohort_kind=kind, maturity="0.30-0.99")
                ],
                "cohort_kind",
                *keys[:2],
            ),
            "",
            "Against other finals, and where every return names its line:",
            "",
            *table(
                [
                    row
                    for returns, final in (
                        ("mixed", "truth"),
                        ("mixed", "ledger"),
                        ("by line", "traceable"),
                    )
                    for row in find(figures, returns=returns, final=final, maturity="0.30-0.99")
                ],
                "returns",
                "final",
                *keys[:2],
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
    helpers=(Path(truth.__file__),),
)
