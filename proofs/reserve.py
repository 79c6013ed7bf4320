"""The refund liability of each month-end against what was refunded afterwards."""

import math
from pathlib import Path

from proofs import truth
from proofs.harness import Built, Proof, Row, Workshop, World, fetch

LARGEST_ERROR = 0.03  # mean error, sign counted, relative, of the portfolio
PORTFOLIO = "2,000,000 lines"
DEMO = "seed 1"
# of thirteen month-ends of one world, which overlap: fewer would be no 90 % interval
SMALLEST_COVERAGE = 0.75

# what came back after a day of what was sold by then, also after the end of the data
COMPARED = """
with events as (
    select
        sold_lines.ordered_on,
        cast(return_truth.returned_at as date) as returned_on,
        sum(return_truth.refund_amount_eur) as refund_amount
    from truth_return_truth as return_truth
    inner join sold_lines using (line_id)
    where is_traceable
    group by all
)
select
    known_on,
    liability_amount,
    liability_lo,
    liability_hi,
    (
        select coalesce(sum(refund_amount), 0) from events
        where ordered_on <= known_on and returned_on > known_on
    ) as refunded_amount,
    realised_refund_amount as refunded_in_ledger,
    is_final
from marts.refund_liability
where currency = 'all'
order by known_on
"""


def compare(built: Built) -> list[Row]:
    """Each month-end's liability beside what it was for."""
    with built.connect() as connection:
        connection.execute(truth.SOLD_LINES)
        cost = {"seconds": built.seconds and round(built.seconds), "peak_bytes": built.peak}
        return [row | cost for row in fetch(connection, COMPARED)]


def compute(world: World, workshop: Workshop) -> list[Row]:
    """The month-ends of one world; those of the portfolio with what its build cost."""
    rows = workshop.measure(world, compare)
    if world.name == PORTFOLIO:
        return rows
    return [row | {"seconds": None, "peak_bytes": None} for row in rows]


def pool(worlds: dict[str, list[Row]]) -> list[Row]:
    """Per world: the error relative to what was refunded, and how often the interval holds it."""
    figures = []
    for name, rows in worlds.items():
        errors = [float(row["liability_amount"] / row["refunded_amount"]) - 1 for row in rows]
        covered = [
            row["liability_lo"] <= row["refunded_amount"] <= row["liability_hi"] for row in rows
        ]
        widths = [
            float((row["liability_hi"] - row["liability_lo"]) / row["liability_amount"])
            for row in rows
        ]
        figures.append(
            {
                "world": name,
                "n": len(rows),
                "mean_absolute_error": math.fsum(map(abs, errors)) / len(rows),
                "mean_error": math.fsum(errors) / len(rows),
                "largest_error": max(errors, key=abs),
                "covered": sum(covered),
                "width": math.fsum(widths) / len(rows),
                "seconds": rows[0]["seconds"],
                "peak_bytes": rows[0]["peak_bytes"],
            }
        )
    return figures


def missed(figures: list[Row]) -> list[str]:
    """What is not as the claim says."""
    problems = []
    for row in figures:
        if row["world"] == PORTFOLIO and abs(row["mean_error"]) > LARGEST_ERROR:
            problems.append(f"{row['world']}: mean error {100 * row['mean_error']:+.1f} %")
        if row["covered"] < SMALLEST_COVERAGE * row["n"]:
            problems.append(f"{row['world']}: {row['covered']} of {row['n']} in the interval")
    return problems


def show(figures: list[Row]) -> str:
    """The figures as Markdown, per cent of what was refunded."""
    lines = [
        "| world | month-ends | mean absolute error % | mean error % | largest % "
        "| in the interval | its width % | build s | memory GB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in figures:
        cost = ["", ""]
        if row["seconds"]:
            cost = [f"{row['seconds']:.0f}", f"{row['peak_bytes'] / 1e9:.1f}"]
        errors = [row["mean_absolute_error"], row["mean_error"], row["largest_error"]]
        cells = [
            row["world"],
            str(row["n"]),
            f"{100 * errors[0]:.1f}",
            *(f"{100 * error:+.1f}" for error in errors[1:]),
            str(row["covered"]),
            f"{100 * row['width']:.1f}",
            *cost,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


RESERVE = Proof(
    name="reserve",
    claim="At two million lines the refund liability of month-ends is right to 3 % on average, "
    "sign counted; on the demo what was refunded lies in its interval.",
    marts=("refund_liability",),
    worlds=(
        World(DEMO, {"seed": 1}),
        World(PORTFOLIO, {"seed": 1, "lines": 2_000_000, "format": "parquet", "truth": "full"}),
    ),
    subset=(DEMO,),
    compute=compute,
    pool=pool,
    missed=missed,
    show=show,
    summary=show,
    helpers=(Path(truth.__file__),),
)
