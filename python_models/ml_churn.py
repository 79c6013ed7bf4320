"""One row per source and thing that the models of churn found, and per customer the forest's score.

Private: published by customer_churn, leak_checks and the model_* marts.
"""

import json

from ml import churn
from ml.evaluation import RECORD

BATCHES = 100  # at most: customers are scored in batches, never all at once
BATCH_ROWS = 100_000


def model(dbt, session):
    """Fit and test on the sample of each source, then score everybody in batches."""
    dbt.config(materialized="table")
    features = dbt.ref("int_churn_features")
    cut_offs = dbt.ref("int_cut_offs")
    policies = dict(dbt.ref("policy_parameters").project("policy_name, value").fetchall())
    levels = dict(dbt.ref("policy_confidence_levels").project("confidence_percent, z").fetchall())
    seed = int(dbt.config.meta_get("random_seed"))
    policy = churn.Policy.of(policies, levels)

    listed = ", ".join(f"{name} {kind}" for name, kind in RECORD.items())
    session.execute(f"create or replace temp table churn_records ({listed})")
    insert = "insert into churn_records select unnest(from_json(?, ?), recursive := true)"
    form = json.dumps([RECORD])
    days = cut_offs.filter("is_current").project("source, known_on").order("source").fetchall()
    for source, today in days:
        chosen = features.filter(f"source = '{source}'")
        sample = chosen.filter("is_sampled").order("known_on, draw, customer_id").fetchnumpy()
        records, models = churn.learn(
            churn.snapshots(sample), today=today, policy=policy, random_state=seed
        )
        session.execute(insert, [records.as_json(source), form])
        if not models:
            continue
        current = chosen.filter("is_current")
        (count,) = current.aggregate("count(*)").fetchall()[0]
        batches = min(BATCHES, 1 + count // BATCH_ROWS)
        for number in range(batches):
            part = f"draw >= {number / batches} and draw < {(number + 1) / batches}"
            batch = current.filter(part).order("draw, customer_id").fetchnumpy()
            scores = churn.scores(models, batch, today=today)
            session.execute(insert, [scores.as_json(source), form])
    return session.table("churn_records")
