"""One row per order line: what the model that was in use when it was ordered says of it.

Private: published by order_return_scores. The models are literals of one SQL statement, which
DuckDB runs where the features are: no line passes through Python.
"""

from ml import return_models, scoring_sql

# what decisions ask of a line, taken along so that nobody has to look it up again
CARRIED = (
    "order_id, product_id, ordered_date, marketplace, category, payment_method, quantity,"
    " ordered_amount, has_size, same_product_variants, customer_return_rate,"
    " customer_returned_lines_before, product_return_rate, discount_share"
)


def model(dbt, session):
    """Score the lines of each source and version."""
    dbt.config(materialized="table")
    lines = dbt.ref("return_features")
    records = dbt.ref("ml_return_models").filter("record in ('intercept', 'bin', 'pair')")
    names = records.columns
    rows = [dict(zip(names, row, strict=True)) for row in records.fetchall()]
    queries = [
        scoring_sql.score_query(
            version.model,
            features="return_features",
            keys=(
                f"source, order_line_id, {CARRIED},"
                f" {scoring_sql.text(version.name)} as model_version,"
                f" ordered_date > date '{version.trained_on}' as is_out_of_sample"
            ),
            where=f"source = {scoring_sql.text(source)} and {version.scores}",
        )
        for source, version in return_models.versions(rows)
    ]
    nothing = (
        f"select source, order_line_id, {CARRIED}, '' as model_version,"
        " false as is_out_of_sample,"
        " 0e0 as margin from return_features where false"
    )
    return lines.query("return_features", " union all ".join([nothing, *queries]))
