"""One row per batch of the last weeks: how well a model tells its lines from those before.

Private: published by drift_batches. On a bounded sample of the lines of the batch and of the
weeks before it.
"""

import json

from ml import domain_classifier

# what is known at checkout, without the calendar and without what grows with every week
FEATURES = (
    *("is_guest", "basket_lines", "basket_units", "basket_value", "basket_share", "quantity"),
    *("same_product_lines", "same_category_lines", "unit_price", "discount_share"),
    *("price_to_product", "price_to_category", "price_to_customer", "order_hour"),
    *("promised_days", "customer_type", "category", "marketplace", "country", "channel"),
    "payment_method",
)
# one line of each order: others of it would give it away
SAMPLE = """
    select * from (
        select
            *,
            row_number() over (
                partition by week_source, batch, part order by ticket, order_line_id
            ) as draw
        from (
            select
                *,
                md5(concat('{seed} ', order_line_id)) as ticket,
                row_number() over (
                    partition by week_source, batch, order_id order by order_line_id
                ) as place
            from lines
            where coalesce(label_return_class, '') not in ('cancelled', 'undelivered')
        ) where place = 1
    ) where draw <= {sample} order by week_source, batch, part, draw
"""
COLUMNS = {
    "source": "varchar",
    "batch": "varchar",
    "auc": "double",
    "auc_lo": "double",
    "auc_hi": "double",
    "lines": "bigint",
}


def model(dbt, session):
    """Tell them apart."""
    dbt.config(materialized="table")
    policies = dict(dbt.ref("policy_parameters").project("policy_name, value").fetchall())
    seed = int(dbt.config.meta_get("random_seed"))
    weeks = (
        dbt.ref("int_drift_comparisons")
        .filter(
            "batch_grain = 'week' and reference = 'recent'"
            f" and batch_end > as_of_date - 7 * {policies['drift_classifier_weeks']} - 6"
        )
        .project("source as week_source, batch, part, period_start")
    )
    lines = dbt.ref("return_features").join(
        weeks, "source = week_source and ordered_date between period_start and period_start + 6"
    )
    sample = SAMPLE.format(seed=seed, sample=policies["drift_classifier_lines"])
    sampled = lines.query("lines", sample).fetchnumpy()
    rows = domain_classifier.batches(
        sampled,
        FEATURES,
        confidence=policies["interval_confidence_percent"] / 100,
        random_state=seed,
    )
    declared = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    session.execute(f"create or replace temp table told_apart ({declared})")
    session.execute(
        "insert into told_apart select unnest(from_json(?, ?), recursive := true)",
        [json.dumps(rows), json.dumps([COLUMNS])],
    )
    return session.table("told_apart")
