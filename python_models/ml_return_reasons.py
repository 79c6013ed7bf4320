"""One row per flagged line and reason: which groups of features speak for a return, and how loudly.

Private: published by order_return_reasons. Asked of flagged lines only, by the models that scored
them, in one SQL statement.
"""

from ml import return_models, scoring_sql

# what sentences are made of
CARRIED = (
    "customer_lines_before as earlier_lines, customer_returned_lines_before as earlier_returns"
)


def model(dbt, session):
    """Explain the flagged lines of each source and version."""
    dbt.config(materialized="table")
    keys = (
        dbt.ref("int_flagged_lines")
        .filter("is_explained")
        .project("source, order_line_id, model_version")
    )
    lines = dbt.ref("return_features").join(keys, "source, order_line_id")
    records = dbt.ref("ml_return_models").filter("record in ('intercept', 'bin', 'pair')")
    names = records.columns
    rows = [dict(zip(names, row, strict=True)) for row in records.fetchall()]
    queries = [
        scoring_sql.reasons_query(
            version.model,
            features="flagged_features",
            keys=f"source, order_line_id, model_version, {CARRIED}",
            where=(
                f"source = {scoring_sql.text(source)}"
                # where another model scores, the table of the same day explains
                f" and right(model_version, 10) = '{version.trained_on}'"
            ),
        )
        for source, version in return_models.versions(rows)
    ]
    return lines.query(
        "flagged_lines",
        "with flagged_features as materialized (select * from flagged_lines) "
        + " union all ".join(queries),
    )
