"""One row per order line: what the model that was in use when it was ordered says of it.

Private: published by order_return_scores. Tables are literals of one SQL statement, which DuckDB
runs where the features are: no line passes through Python. Where a model is the champion that is no
table, lines pass through it in batches (ml.batches).
"""

from ml import batches, return_models, scoring_sql
from retour.model_files import ModelFiles, loaded, verified

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
    fitted = dbt.ref("ml_return_models")
    records = fitted.filter("record in ('intercept', 'bin', 'pair')")
    names = records.columns
    rows = [dict(zip(names, row, strict=True)) for row in records.fetchall()]
    # sources whose champion is no table, and the hash of the file that holds it
    hashes = dict(
        fitted.filter("record = 'run' and name = 'model_sha256'")
        .project("source, detail")
        .fetchall()
    )
    of_rivals = fitted.filter("record = 'rival'").project("source").fetchall()
    rivals = {source: hashes[source] for (source,) in sorted(set(of_rivals))}
    files = ModelFiles.beside(session, "return")
    versions = [
        (source, version)
        for source, version in return_models.versions(rows)
        if source not in rivals
    ]
    session.execute(
        "create or replace temp table rival_margins"
        " (source varchar, order_line_id varchar, margin double)"
    )
    for source, sha256 in rivals.items():
        content = loaded(verified(files.path(source), sha256))
        versions += [(source, version) for version in content["models"]]
    nothing = (
        f"select source, order_line_id, {CARRIED}, '' as model_version,"
        " false as is_out_of_sample,"
        " 0e0 as margin from return_features where false"
    )
    queries = [nothing]
    for source, version in versions:
        where = f"source = {scoring_sql.text(source)} and {version.scores}"
        keys = (
            f"source, order_line_id, {CARRIED},"
            f" {scoring_sql.text(version.name)} as model_version,"
            f" ordered_date > date '{version.trained_on}' as is_out_of_sample"
        )
        if version.rival:
            # a relation, so that the name of the table is known
            lines.create_view("rival_lines", replace=True)
            batches.score(
                session, version.rival, lines="rival_lines", where=where, into="rival_margins"
            )
            queries.append(
                f"select {keys}, margin from return_features"
                f" inner join rival_margins using (source, order_line_id) where {where}"
            )
        else:
            queries.append(
                scoring_sql.score_query(
                    version.model, features="return_features", keys=keys, where=where
                )
            )
    return lines.query("return_features", " union all ".join(queries))
