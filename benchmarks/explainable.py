"""The table model beside an explainable boosting machine, the well-kept library of its family.

python -m benchmarks.explainable [WAREHOUSE]    ROC-AUC out of time, seconds and size of each

Needs a built warehouse and the package interpret-core, which is no dependency of the project.
"""

import sys
import time
from datetime import date

import duckdb
import numpy as np

from ml import boosting, evaluation, return_models, table_model
from ml.return_models import Policy
from ml.table_model import Feature


def main(warehouse: str) -> None:
    """Fit both on the lines of the first training day, test on what was ordered after it."""
    try:
        from interpret.glassbox import ExplainableBoostingClassifier
    except ImportError:
        sys.exit("This measures the package interpret-core: install it beside the project first.")
    with duckdb.connect(warehouse, read_only=True) as connection:
        lines, features, policy, today = _read(connection)
    day, until = return_models.training_days(int(lines.known_on.min()), today, policy.origins)[:2]
    early, late = (lines.take(part) for part in return_models.slices(lines, day, policy))
    test = lines.take(np.flatnonzero((lines.ordered_on > day) & (lines.ordered_on <= until)))
    features = boosting.in_order(features)
    print(
        f"fitted on {len(early.label):,} lines known on {date.fromordinal(day)},"
        f" tested on {len(test.label):,} later ones\n"
    )
    print("| model | ROC-AUC | log loss | fit, CPU s | scores |\n|---|---:|---:|---:|---:|")

    def show(name: str, seconds: float, margins: list, scores: int) -> None:
        intercept, slope = evaluation.fit_sigmoid(margins[0], late.label)
        probability = evaluation.sigmoid(intercept + slope * margins[1])
        loss = -np.log(np.where(test.label == 1, probability, 1 - probability)).mean()
        area = evaluation.roc_auc(test.label, probability)[0]
        print(f"| {name} | {area:.4f} | {loss:.4f} | {seconds:.1f} | {scores:,} |")

    start = time.process_time()
    model, _ = boosting.fit(
        *(early.columns, early.label, early.key, features),
        settings=policy.settings,
        random_state=1,
    )
    seconds = time.process_time() - start
    margins = [
        table_model.margin(model, table_model.assign(model, part.columns)) for part in (late, test)
    ]
    cells = sum(map(len, model.scores)) + sum(table.size for table in model.pairs.values())
    show("table", seconds, margins, cells)

    categories = boosting.frequent_categories(early.columns, features, policy.settings)
    matrices = [
        table_model.encode(part.columns, features, categories) for part in (early, late, test)
    ]
    kinds = ["nominal" if feature.kind == "categorical" else "continuous" for feature in features]
    for bags in (1, 4):
        machine = ExplainableBoostingClassifier(
            interactions=policy.settings.max_pairs,
            outer_bags=bags,
            max_bins=policy.settings.max_bins,
            feature_types=kinds,
            n_jobs=1,
            random_state=1,
        )
        start = time.process_time()
        machine.fit(matrices[0], early.label)
        seconds = time.process_time() - start
        margins = [machine.decision_function(part) for part in matrices[1:]]
        cells = sum(scores.size for scores in machine.term_scores_)
        show(f"explainable boosting, outer_bags={bags}", seconds, margins, cells)


def _read(connection: duckdb.DuckDBPyConnection) -> tuple:
    """The sample of the demo that its models learn from, features, policy and the day of today."""
    features = [
        Feature(*row)
        for row in connection.execute(
            "select feature, kind, feature_group from policy.policy_model_features"
            " where feature_set = 'checkout' order by feature"
        ).fetchall()
    ]
    policy = Policy.of(
        *(
            dict(connection.execute(f"select {columns} from policy.{seed}").fetchall())
            for columns, seed in (
                ("policy_name, value", "policy_parameters"),
                ("confidence_percent, z", "policy_confidence_levels"),
            )
        )
    )
    columns = connection.execute(
        f"""
        select
            {", ".join(feature.name for feature in features)},
            order_line_id, ordered_date, hash(order_line_id) / 18446744073709551616 as draw,
            label_is_returned and label_returned_date <= ordered_date + 60 as came_back
        from marts.return_features
        where label_return_class in ('kept', 'returned', 'open') and ordered_date + 60 <= as_of_date
        order by order_line_id
        """
    ).fetchnumpy()
    [(today,)] = connection.execute("select max(as_of_date) from marts.return_features").fetchall()
    lines = return_models.lines(columns, features, window=60)
    return lines, features, policy, today.toordinal()


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["data/warehouse.duckdb"]))
