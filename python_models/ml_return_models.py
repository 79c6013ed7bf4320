"""One row per source and thing that the models of returns found: runs, metrics, bins, pairs.

Private: published by model_bins, model_pairs, order_return_scores and the model_* marts.
"""

import json
from functools import partial

from ml import return_models
from ml.evaluation import RECORD
from ml.table_model import Feature
from retour.model_files import ModelFiles, fingerprint

FURTHER = {
    "feature_a": "varchar",
    "bin_a": "bigint",
    "feature_b": "varchar",
    "bin_b": "bigint",
}


def model(dbt, session):
    """Fit and test on a sample of the lines of each source whose return window has closed."""
    dbt.config(materialized="table")
    lines = dbt.ref("return_features")
    listed = dbt.ref("policy_model_features").filter("feature_set = 'checkout'").order("feature")
    features = [Feature(*row) for row in listed.project("feature, kind, feature_group").fetchall()]
    policies = dict(dbt.ref("policy_parameters").project("policy_name, value").fetchall())
    levels = dict(dbt.ref("policy_confidence_levels").project("confidence_percent, z").fetchall())
    policy = return_models.Policy.of(policies, levels)
    seed = int(dbt.config.meta_get("random_seed"))
    window = int(dbt.config.meta_get("return_window_days"))

    columns = RECORD | FURTHER
    declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    session.execute(f"create or replace temp table return_records ({declared})")
    insert = "insert into return_records select unnest(from_json(?, ?), recursive := true)"
    closed = lines.filter(
        "label_return_class in ('kept', 'returned', 'open') and label_is_returned is not null"
        f" and ordered_date + {window} <= as_of_date"
    ).project(
        ", ".join(feature.name for feature in features) + ", source, order_line_id, ordered_date,"
        f" cast('0x' || substr(md5('{seed} ' || order_line_id), 1, 7) as bigint)"
        " / 268435456.0 as draw,"
        f" label_is_returned and coalesce(label_returned_date <= ordered_date + {window}, true)"
        " as came_back"
    )
    counts = dict(closed.aggregate("source, count(*)").fetchall())
    days = lines.aggregate("source, max(as_of_date)").order("source").fetchall()
    files = ModelFiles.beside(session, "return")
    for source, today in days:
        name = source.replace("'", "''")
        share = policies["return_sample_lines"] / max(1, counts.get(source, 0))
        sample = closed.filter(f"source = '{name}' and draw < {share}").order("order_line_id")
        given = {"policy": policy, "today": today.toordinal(), "window": window, "seed": seed}
        learnt_from = fingerprint(sample, return_models, features=features, **given)
        fitted = files.fitted(
            source,
            fingerprint=learnt_from,
            features=[feature.name for feature in features],
            fit=partial(return_models.fit, source, sample.fetchnumpy, features, **given),
        )
        session.execute(insert, [fitted.records, json.dumps([columns])])
        session.execute(
            "insert into return_records by name"
            " select source, 'run' as record, model, trained_on, slice_id,"
            " unnest(['training_fingerprint', 'model_sha256', 'return_window_days']) as name,"
            " unnest(?) as detail from return_records"
            " where source = ? and record in ('intercept', 'rival')",
            [[learnt_from, fitted.sha256, str(window)], source],
        )
    return session.table("return_records")
