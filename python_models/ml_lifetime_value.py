"""One row per source and thing that the fits of BG/NBD and Gamma-Gamma found.

Private: published by customer_value and the model_* marts.
"""

import json

from ml import customer_value
from ml.evaluation import RECORD


def model(dbt, session):
    """Fit the purchases of each source on the days that need it, and tabulate today's."""
    dbt.config(materialized="table")
    cells = dbt.ref("int_purchase_cells").order(
        "source, known_on, repeat_count, last_repeat_days, tenure_days"
    )
    margins = dbt.ref("int_customer_margins").filter("is_sampled and repeat_count > 0")
    pairs = dbt.ref("int_customer_margins").project("source, repeat_count, tenure_days").distinct()
    cut_offs = dbt.ref("int_cut_offs").order("source, known_on")
    policies = dict(dbt.ref("policy_parameters").project("policy_name, value").fetchall())
    levels = dict(dbt.ref("policy_confidence_levels").project("confidence_percent, z").fetchall())

    columns = RECORD | {"repeat_count": "bigint", "tenure_days": "bigint"}
    listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    session.execute(f"create or replace temp table lifetime_values ({listed})")
    insert = "insert into lifetime_values select unnest(from_json(?, ?), recursive := true)"
    days = cut_offs.fetchall()
    names = cut_offs.columns
    for source in sorted({row[names.index("source")] for row in days}):
        chosen = f"source = '{source}'"
        records = customer_value.learn(
            cells=cells.filter(chosen).fetchnumpy(),
            margins=margins.filter(chosen).order("draw, customer_id").fetchnumpy(),
            pairs=pairs.filter(chosen).order("repeat_count, tenure_days").fetchnumpy(),
            cut_offs=[dict(zip(names, row, strict=True)) for row in days if row[0] == source],
            policies=policies,
            z=float(levels[policies["interval_confidence_percent"]]),
        )
        session.execute(insert, [records.as_json(source), json.dumps([columns])])
    return session.table("lifetime_values")
