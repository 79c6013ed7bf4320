"""Scores of returns against the oracle, which knows the world that the generator made."""

from pathlib import Path

import numpy as np

from ml import boosting, evaluation, retraining, return_models, scoring_sql, table_model
from ml.return_evaluation import auc_gain
from proofs.harness import Built, Proof, Row, Workshop, World, fetch

LARGEST_GAP = 0.02  # of the ROC-AUC below that of the oracle, at a million lines
LARGEST_ERROR = 0.02  # expected calibration error over ten bins of equal counts, there
DEMO = "seed 1"
MILLION = "1,000,000 lines"

# lines that were scored by a model trained before them and whose outcome is known, with what is
# true of them: the probability given everything visible at checkout, and whether they come back
SCORED = """
select
    tests.return_probability as said,
    tests.came_back,
    truth_line_truth.p_checkout as oracle,
    cast(truth_line_truth.will_return as int) as will_return
from intermediate.int_return_tests as tests
inner join truth_line_truth
    on tests.order_line_id = truth_line_truth.order_line_id
where not truth_line_truth.is_cancelled and not truth_line_truth.is_undelivered
order by tests.order_line_id
"""

FIGURES = """
select
    max(case when entity_type = 'lines' and metric = 'roc_auc' then value end) as auc_of_all,
    max(case when entity_type = 'lines' and metric = 'calibration_error' then value end)
        as calibration_error_of_all,
    max(case when entity_type = 'lines' and metric = 'roc_auc' then n end) as scored
from marts.model_metrics
where task = 'return' and model = 'table'
"""

PROFIT = """
select
    lines as decided_lines,
    gain_over_never_per_thousand as over_never,
    gain_over_never_lo as over_never_lo,
    gain_over_always_per_thousand as over_always,
    gain_over_always_lo as over_always_lo,
    gain_over_half_per_thousand as over_half,
    gain_over_half_lo as over_half_lo
from marts.model_decisions
where task = 'return' and rule = 'gain'
"""

Z = 1.959963985  # intervals of 95 %


def compare(built: Built) -> list[Row]:
    """The scores of one world beside its oracle, and what acting on them earns."""
    with built.connect() as connection:
        scored = connection.execute(SCORED).fetchnumpy()
        (figures,), (profit,) = (fetch(connection, query) for query in (FIGURES, PROFIT))
    label = scored["will_return"].astype(int)
    said, oracle = (np.ma.getdata(scored[name]).astype(float) for name in ("said", "oracle"))
    area, best = (evaluation.roc_auc(label, score)[0] for score in (said, oracle))
    gap, variance = auc_gain(label, oracle, said)
    half = Z * np.sqrt(variance)
    measured = {
        "compared": len(label),
        "auc": area,
        "oracle_auc": best,
        "gap": gap,
        "gap_lo": gap - half,
        "gap_hi": gap + half,
        "calibration_error": calibration_error(scored["came_back"].astype(int), said),
        "calibration_error_of_truth": calibration_error(label, said),
        "calibration_error_of_oracle": calibration_error(label, oracle),
    }
    return [measured | figures | {name: float(value) for name, value in profit.items()}]


def calibration_error(label: evaluation.Ints, probability: evaluation.Floats) -> float:
    """Mean distance of what is said and what comes over ten bins of equal counts."""
    bins = evaluation.calibration(label, probability, z=Z)
    return sum(bin.n * abs(bin.predicted - bin.observed) for bin in bins) / len(label)


def compute(world: World, workshop: Workshop) -> list[Row]:
    """The figures of one world."""
    return workshop.measure(world, compare)


def pool(worlds: dict[str, list[Row]]) -> list[Row]:
    """One row per world."""
    return [{"world": name, **rows[0]} for name, rows in worlds.items()]


def missed(figures: list[Row]) -> list[str]:
    """What is not as the claim says: targets are for the million."""
    problems = []
    for row in figures:
        if row["world"] != MILLION:
            continue
        if row["gap"] > LARGEST_GAP:
            problems.append(f"ROC-AUC {row['gap']:.4f} below the oracle's")
        for name in ("calibration_error", "calibration_error_of_all"):
            if row[name] > LARGEST_ERROR:
                problems.append(f"{name} {row[name]:.4f}")
        problems += [
            f"profit {name.replace('_', ' ')}: the interval begins at {row[f'{name}_lo']:.1f}"
            for name in ("over_never", "over_always", "over_half")
            if row[f"{name}_lo"] <= 0
        ]
    return problems


def show(figures: list[Row]) -> str:
    """The figures as Markdown."""
    lines = [
        "| world | lines compared | ROC-AUC | of the oracle | gap (95 %) | calibration error %"
        " | of the oracle | more profit per 1,000 lines than never | than always | than p > 0.5 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in figures:
        gains = [
            f"{row[name]:,.0f} (from {row[f'{name}_lo']:,.0f})"
            for name in ("over_never", "over_always", "over_half")
        ]
        cells = [
            row["world"],
            f"{row['compared']:,}",
            f"{row['auc']:.4f}",
            f"{row['oracle_auc']:.4f}",
            f"{row['gap']:.4f} ({row['gap_lo']:.4f} to {row['gap_hi']:.4f})",
            f"{100 * row['calibration_error']:.2f}",
            f"{100 * row['calibration_error_of_oracle']:.2f}",
            *gains,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


SCORING = Proof(
    name="scoring",
    claim="At a million lines scores rank returns, out of time, within 0.02 of the ROC-AUC of the "
    "true probability given everything visible at checkout, are off by 2 points at most, and "
    "acting on them earns more than never, always or p > 0.5.",
    marts=("order_return_scores", "model_metrics", "model_decisions"),
    worlds=(
        World(DEMO, {"seed": 1}),
        World(MILLION, {"seed": 1, "lines": 1_000_000, "format": "parquet", "truth": "full"}),
    ),
    subset=(DEMO,),
    compute=compute,
    pool=pool,
    missed=missed,
    show=show,
    summary=show,
    helpers=tuple(
        Path(module.__file__)
        for module in (boosting, evaluation, retraining, return_models, scoring_sql, table_model)
    ),
)
