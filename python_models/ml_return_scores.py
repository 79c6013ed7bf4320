"""One row per order line: what the model that was in use when it was ordered says of it.

Private: published by order_return_scores. The models are literals of one SQL statement, which
DuckDB runs where the features are: no line passes through Python.
"""

from ml import return_models, scoring_sql


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
                f"source, order_line_id, {scoring_sql.text(version.name)} as model_version,"
                f" ordered_date > date '{version.trained_on}' as is_out_of_sample"
            ),
            where=f"source = {scoring_sql.text(source)} and {version.scores}",
        )
        for source, version in return_models.versions(rows)
    ]
    nothing = (
        "select source, order_line_id, '' as model_version, false as is_out_of_sample,"
        " 0e0 as margin from return_features where false"
    )
    return lines.query("return_features", " union all ".join([nothing, *queries]))
