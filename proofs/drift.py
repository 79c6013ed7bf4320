"""Drift: how often quiet data raises an alarm, and how often a shift does, in many runs at once.

Each run is a source of its own with one reference and one batch, drawn from the same made-up lines;
the models int_drift_statistics to drift_batches judge thousands of them in one statement each.
"""

import math
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from proofs.harness import ROOT, Proof, Row, Workshop, World
from retour import drift_models

ALPHA = 0.05
BAND = (0.04, 0.06)  # false alarms at alpha, at up to ten thousand lines
POWER = 0.95  # least share of runs in which a shift is found
FOLKLORE = 0.1  # PSI that rules of thumb call drift
POPULATION = 20_000
AT_ONCE = 500  # runs in one statement
EXACT = 100  # up to so many lines values are kept as they are, as retour drift does
SIZES = {100: 2_000, 300: 2_000, 1_000: 2_000, 10_000: 2_000, 100_000: 200, 1_000_000: 200}
POWER_LINES = 1_000
POWER_RUNS = 200
# 99 %, since ninety features are looked at, and 95 % of a single figure
Z_MANY, Z_ONE = 2.575829304, 1.959963985
TOGETHER = frozenset({"all features", "batch as a whole"})

Columns = dict[str, NDArray]


def population(seed: int) -> Columns:
    """Order lines with the kinds of columns there are: skewed, tied, flags, rare members, NULLs."""
    rng = np.random.default_rng(seed)
    size = POPULATION
    base = rng.lognormal(4.2, 0.8, size)
    days = rng.gamma(1.5, 40, size)
    return {
        "unit_price": np.round(base, 2),
        "basket_value": np.round(base * (1 + rng.poisson(0.8, size)), 2),
        "price_to_product": np.round(rng.normal(1, 0.06, size), 4),
        "customer_return_rate": np.round(rng.beta(4, 16, size), 4),
        "days_since_order": np.where(rng.random(size) < 0.4, np.nan, np.round(days)),
        "discount_share": np.where(rng.random(size) < 0.6, 0, np.round(rng.beta(2, 9, size), 2)),
        "delivery_days": np.round(2 + rng.gamma(2, 1, size)),
        "orders_before": rng.poisson(2, size).astype(float),
        "quantity": 1 + rng.poisson(0.15, size).astype(float),
        "rating": rng.choice(5, size, p=[0.06, 0.07, 0.15, 0.32, 0.4]) + 1.0,
        "is_guest": (rng.random(size) < 0.15).astype(float),
        "category": rng.choice(list("abcdefgh"), size, p=_zipf(8)),
        "country": rng.choice(list("klmnopqrstuvwxyz"), size, p=_zipf(16)),
        "payment_method": rng.choice(["card", "cod", "later"], size, p=[0.6, 0.25, 0.15]),
        # ten times as many as there are bins: which of them are frequent is luck
        "sku": np.char.add("sku ", rng.choice(400, size, p=_zipf(400, 0.5)).astype(str)),
    }


def _zipf(members: int, exponent: float = 1) -> NDArray:
    weights = 1 / np.arange(1, members + 1) ** exponent
    return weights / weights.sum()


def dearer(columns: Columns) -> Columns:
    """Prices up by a tenth, seen against the product's own past."""
    return columns | {"price_to_product": np.round(columns["price_to_product"] * 1.1, 4)}


def other_mix(columns: Columns) -> Columns:
    """One line in ten is of the third category instead of the first."""
    move = (columns["category"] == "a") & (np.arange(POPULATION) % 11 < 3)
    return columns | {"category": np.where(move, "c", columns["category"])}


def flash_sale(columns: Columns) -> Columns:
    """Discounts of 61 % on average."""
    sale = np.round(0.41 + 0.4 * ((np.arange(POPULATION) * 0.618) % 1), 2)
    return columns | {"discount_share": sale}


def late(columns: Columns) -> Columns:
    """Deliveries three days later."""
    return columns | {"delivery_days": columns["delivery_days"] + 3}


def new_category(columns: Columns) -> Columns:
    """One line in twenty is of a category that was never sold."""
    is_new = np.arange(POPULATION) % 20 == 0
    return columns | {"category": np.where(is_new, "new", columns["category"])}


SHIFTS: dict[str, tuple[str, Callable[[Columns], Columns]]] = {
    "price + 10 %": ("price_to_product", dearer),
    "category mix": ("category", other_mix),
    "discount 15 to 61 %": ("discount_share", flash_sale),
    "delivery + 3 days": ("delivery_days", late),
    "new category": ("category", new_category),
}


def judge(
    before: Columns, after: Columns, *, lines: int, runs: int, seed: int
) -> dict[str, NDArray]:
    """Per run: p- and q-values of the features, and what is said of the batch as a whole."""
    found: list[tuple] = []
    features: list[tuple] = []
    rng = np.random.default_rng(seed)
    for start in range(0, runs, AT_ONCE):
        count = min(AT_ONCE, runs - start)
        connection = duckdb.connect()
        drift_models.prepare(connection, ROOT)
        connection.execute(
            f"""
            insert into int_drift_comparisons
            select
                cast(run as varchar), 'batch', 'check', null, null, date '2026-01-01',
                'baseline', part, 'check', date '2000-01-01' + (part = 'batch')::int
            from range({start}, {start + count}) as runs (run)
            cross join (values ('batch'), ('reference')) as parts (part)
            """
        )
        for side, columns in enumerate((before, after)):
            drawn = rng.multinomial(lines, np.full(POPULATION, 1 / POPULATION), size=count)
            run, row = np.nonzero(drawn)
            times = drawn[run, row]
            for name, values in columns.items():
                _add_cells(
                    connection, name, values, before[name], side, run + start, row, times, lines
                )
        drift_models.run_models(connection, ROOT)
        features += connection.execute(
            "select cast(source as int), feature, p_value, q_value, ks_p_value, psi "
            "from drift_features order by 1, 2"
        ).fetchall()
        found += connection.execute(
            "select cast(source as int), p_value, moved_features from drift_batches order by 1"
        ).fetchall()
        connection.close()
    names = sorted(before)
    table = {
        name: np.array([row[2:] for row in features if row[1] == name], dtype=float)
        for name in names
    }
    return table | {"": np.array([row[1:] for row in found], dtype=float)}


def _stepped(connection: duckdb.DuckDBPyConnection, values: NDArray, known: NDArray) -> NDArray:
    """The values as the steps they are counted in, each as the mean of what is known in it."""
    project = drift_models.project_of(ROOT)
    quartiles = (*np.nanquantile(known, (0.25, 0.5, 0.75)), np.nanstd(known))
    (grid,) = drift_models.grids(connection, project, [tuple(map(float, quartiles))])
    cells = connection.execute(
        "select value from policy_parameters where policy_name = 'drift_cells_per_spread'"
    ).fetchall()[0][0]
    cell = drift_models.cell_of(project, "nullif(value, 'nan'::double)", grid, cells)
    rows = {"place": np.arange(len(values)), "value": values}  # noqa: F841 - read by the query
    return connection.execute(
        f"select coalesce(avg(nullif(value, 'nan'::double)) over (partition by {cell}), 'nan') "
        "as value from rows order by place"
    ).fetchnumpy()["value"]


def _add_cells(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    values: NDArray,
    known: NDArray,
    side: int,
    run: NDArray,
    row: NDArray,
    times: NDArray,
    lines: int,
) -> None:
    """Count the values of one feature on one side of each run."""
    is_number = values.dtype.kind == "f"
    if is_number and lines > EXACT:
        values = _stepped(connection, values, known)
    members, codes = np.unique(values, return_inverse=True)
    totals = np.zeros((run.max() + 1 - run.min(), len(members)))
    np.add.at(totals, (run - run.min(), codes[row]), times)
    at_run, code = np.nonzero(totals)
    cells = {  # noqa: F841 - read by the query below
        "run": at_run + run.min(),
        "lines": totals[at_run, code],
        "value": members[code] if is_number else np.full(len(code), np.nan),
        "member": members[code].astype(str) if not is_number else np.full(len(code), ""),
    }
    connection.execute(
        f"""
        insert into int_drift_cells
        select
            cast(run as varchar), 'check', date '2000-01-01' + {side}, '{name}',
            '{"number" if is_number else "category"}',
            case when isnan(value) then null else value end, nullif(member, ''), lines,
            case when isnan(value) then 0 else value * lines end
        from cells
        """
    )


def compute(world: World, _: Workshop) -> list[Row]:
    """The alarms of the runs of one size, or of one shift."""
    lines = int(world.options["lines"])
    runs = int(world.options["runs"])
    seed = int(world.options["seed"])
    shift = world.options.get("shift")
    before = population(seed)
    if shift:
        target, change = SHIFTS[str(shift)]
        after = change(before)
        found = judge(before, after, lines=lines, runs=runs, seed=seed + 1)
        hits = {"found": (found[target][:, 1] <= ALPHA).sum()}
        hits["batch as a whole"] = (found[""][:, 0] <= ALPHA).sum()
        return [_row(world, str(shift), measure, hit, runs) for measure, hit in hits.items()]
    found = judge(before, before, lines=lines, runs=runs, seed=seed + 1)
    whole = found.pop("")
    rows = [
        _row(world, "batch as a whole", "p", (whole[:, 0] <= ALPHA).sum(), runs),
        _row(world, "batch as a whole", "any q", (whole[:, 1] > 0).sum(), runs),
    ]
    for name, values in found.items():
        p_value, _, ks_p_value, psi = values.T
        known = int(np.isfinite(p_value).sum())
        rows.append(_row(world, name, "p", (p_value <= ALPHA).sum(), known))
        ks_known = int(np.isfinite(ks_p_value).sum())
        if ks_known:
            rows.append(_row(world, name, "ks", (ks_p_value <= ALPHA).sum(), ks_known))
        rows.append(_row(world, name, "psi", (psi > FOLKLORE).sum(), known))
    return rows


def _row(world: World, name: str, measure: str, hits: int, runs: int) -> Row:
    lines = int(world.options["lines"])
    return {"lines": lines, "name": name, "measure": measure, "hits": int(hits), "runs": runs}


def pool(worlds: dict[str, list[Row]]) -> list[Row]:
    """Rates with their intervals; of all features together, too."""
    rows = [dict(row) for name, rows in worlds.items() for row in rows if name != SMALL]
    for lines in SIZES:
        for measure in ("p", "ks", "psi"):
            of = [
                row
                for row in rows
                if row["lines"] == lines
                and row["measure"] == measure
                and row["name"] not in {*SHIFTS, "batch as a whole"}
            ]
            if of:
                sums = {key: sum(row[key] for row in of) for key in ("hits", "runs")}
                rows.append({"lines": lines, "name": "all features", "measure": measure} | sums)
    return [row | _rate(row["hits"], row["runs"]) for row in rows]


def _rate(hits: int, runs: int) -> Row:
    bounds = {}
    for z, name in ((Z_ONE, ""), (Z_MANY, "_wide")):
        middle = (hits + z * z / 2) / (runs + z * z)
        reach = z / (runs + z * z) * math.sqrt(hits * (runs - hits) / runs + z * z / 4)
        bounds |= {f"lo{name}": max(0.0, middle - reach), f"hi{name}": min(1.0, middle + reach)}
    return {"rate": hits / runs} | bounds


def missed(figures: list[Row]) -> list[str]:
    """Rates outside the band, shifts that are not found."""
    problems = []
    for row in figures:
        text = f"{row['name']}, {row['measure']}, {row['lines']:,} lines: {row['rate']:.4f}"
        if row["name"] in SHIFTS:
            if row["rate"] < POWER:
                problems.append(text)
        elif row["measure"] not in ("p", "any q"):
            continue
        elif row["lines"] > 10_000:
            bounds = "lo_wide", "hi_wide"
            if row["name"] in TOGETHER:
                bounds = "lo", "hi"
            if not row[bounds[0]] <= ALPHA <= row[bounds[1]]:
                problems.append(text)
        elif row["name"] in TOGETHER:
            if not BAND[0] <= row["rate"] <= BAND[1]:
                problems.append(text)
        elif row["lo_wide"] > BAND[1] or row["hi_wide"] < BAND[0]:
            problems.append(text)
    return problems


def show(figures: list[Row]) -> str:
    """The figures as Markdown."""
    get = {(row["lines"], row["name"], row["measure"]): row for row in figures}
    out = [
        "| lines on either side | runs | features called drifted | batch as a whole | any feature"
        " with q <= 0.05 | largest, smallest of a feature | features surely off 5 % | KS alone"
        " | PSI > 0.1 |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for lines in SIZES:
        if (lines, "all features", "p") not in get:
            continue
        whole = get[lines, "batch as a whole", "p"]
        features = [
            row
            for row in figures
            if row["lines"] == lines and row["measure"] == "p" and row["name"] in FEATURES
        ]
        each = [row["rate"] for row in features]
        off = sum(not row["lo"] <= ALPHA <= row["hi"] for row in features)
        any_q = get[lines, "batch as a whole", "any q"]
        cells = [
            f"{lines:,}",
            f"{whole['runs']:,}",
            f"{100 * get[lines, 'all features', 'p']['rate']:.1f} %",
            f"{100 * whole['rate']:.1f} % ({100 * whole['lo']:.1f} to {100 * whole['hi']:.1f})",
            f"{100 * any_q['rate']:.1f} % ({100 * any_q['lo']:.1f} to {100 * any_q['hi']:.1f})",
            f"{100 * max(each):.1f}, {100 * min(each):.1f} %",
            f"{off} of {len(each)}",
            f"{100 * get[lines, 'all features', 'ks']['rate']:.1f} %",
            f"{100 * get[lines, 'unit_price', 'psi']['rate']:.1f} %",
        ]
        out.append(f"| {' | '.join(cells)} |")
    out += ["", "| shift | found in | batch as a whole |", "|---|---:|---:|"]
    for shift in SHIFTS:
        cells = [shift] + [
            f"{100 * get[POWER_LINES, shift, measure]['rate']:.1f} %"
            for measure in ("found", "batch as a whole")
        ]
        out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out)


FEATURES = frozenset(population(0))
SMALL = "300 lines, 100 runs"
DRIFT = Proof(
    name="drift",
    claim="At alpha 0.05 data that has not moved is called drifted in 4 to 6 % of cases, feature "
    "by feature and as a whole, from 100 to 1,000,000 lines; five kinds of shifts are found in at "
    "least 95 % of runs of 1,000 lines.",
    marts=(),
    worlds=(
        World(SMALL, {"lines": 300, "runs": 100, "seed": 7}),
        *(
            World(f"{lines:,} lines", {"lines": lines, "runs": runs, "seed": 1})
            for lines, runs in SIZES.items()
        ),
        *(
            World(shift, {"lines": POWER_LINES, "runs": POWER_RUNS, "seed": 2, "shift": shift})
            for shift in SHIFTS
        ),
    ),
    subset=(SMALL,),
    compute=compute,
    pool=pool,
    missed=missed,
    show=show,
    summary=show,
    helpers=(
        Path(drift_models.__file__),
        *(
            ROOT / "dbt_project" / "models" / folder / "monitoring" / f"{model}.sql"
            for folder, model in (
                ("intermediate", "int_drift_statistics"),
                ("intermediate", "int_drift_judged"),
                ("marts", "drift_features"),
                ("marts", "drift_batches"),
            )
        ),
        ROOT / "dbt_project" / "macros" / "drift.sql",
        ROOT / "dbt_project" / "seeds" / "policy" / "policy_parameters.csv",
    ),
)
