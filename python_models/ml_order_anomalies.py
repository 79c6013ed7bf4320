"""One row per source and recent order: how unlike the others it is.

Private: published by order_anomalies. Fitted on a sample, and scored in batches on the newest
orders only, so that more history changes nothing.
"""

import json

from ml import anomalies

QUERY = """
    select
        order_id, max(basket_lines) as order_lines, max(basket_units) as units,
        max(basket_value) as value, max(quantity) as largest_quantity,
        max(same_product_variants) as variants, max(discount_share) as discount_share,
        max(price_to_category) as price_to_category,
        max(customer_orders_before) as customer_orders_before
    from lines
    group by order_id
    order by max(ordered_date) desc, order_id
"""
COLUMNS = {
    "source": "varchar",
    "order_id": "varchar",
    "anomaly_score": "double",
    "strangest": "varchar",
    "value": "double",
    "usual": "double",
    "forest_precision": "double",
    "rule_precision": "double",
    "injected": "bigint",
}


def model(dbt, session):
    """Find them among the orders of the last days of each source."""
    dbt.config(materialized="table")
    policies = dict(dbt.ref("policy_parameters").project("policy_name, value").fetchall())
    lines = dbt.ref("return_features")
    declared = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    session.execute(f"create or replace temp table strange_orders ({declared})")
    days = lines.aggregate("source, max(as_of_date) as today").order("source").fetchall()
    for source, today in days:
        name = source.replace("'", "''")
        recent = lines.filter(
            f"source = '{name}' and ordered_date > date '{today}' - {policies['anomaly_days']}"
        )
        limit = f" limit {policies['anomaly_orders']}"
        orders = recent.query("lines", QUERY + limit).fetchnumpy()
        if len(orders["order_id"]) < policies["anomaly_min_orders"]:
            continue
        found = anomalies.find(
            anomalies.matrix(orders),
            sample=policies["anomaly_sample_orders"],
            random_state=int(dbt.config.meta_get("random_seed")),
        )
        rows = [{"source": source, **row} for row in found.rows(orders["order_id"])]
        session.execute(
            "insert into strange_orders select unnest(from_json(?, ?), recursive := true)",
            [json.dumps(rows), json.dumps([COLUMNS])],
        )
    return session.table("strange_orders")
