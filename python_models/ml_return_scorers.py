"""One row per source and model in use: the SQL that says of each of its lines how likely a return
is; and one row per line that no SQL can score: its margin.

Private: asked by ml_return_scores. Tables are literals of the SQL, which runs where the features
are: no line passes through Python. Where a model is the champion that is no table, lines pass
through it in batches (ml.batches).
"""

from ml import batches, return_models, scoring_sql
from retour.model_files import ModelFiles, loaded, verified

# what decisions ask of a line, taken along so that nobody has to look it up again
CARRIED = (
    "order_id, product_id, ordered_date, marketplace, category, payment_method, quantity,"
    " ordered_amount, has_size, same_product_variants, customer_return_rate,"
    " customer_returned_lines_before, product_return_rate, discount_share"
)
# relations that the SQL names; ml_return_scores says what they are
FEATURES, MARGINS = "return_features", "rival_margins"


def model(dbt, session):
    """Write the SQL of each source and version; score in batches where it takes that."""
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
    for source, sha256 in rivals.items():
        content = loaded(verified(files.path(source), sha256))
        versions += [(source, version) for version in content["models"]]

    session.execute(
        "create or replace temp table return_scorers (source varchar, model_version varchar,"
        " query varchar, order_line_id varchar, margin double);"
        "create or replace temp table rival_margins"
        " (source varchar, order_line_id varchar, margin double)"
    )
    insert = "insert into return_scorers (source, model_version, query) values (?, ?, ?)"
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
            query = (
                f"select {keys}, margin from {FEATURES}"
                f" inner join {MARGINS} using (source, order_line_id) where {where}"
            )
        else:
            query = scoring_sql.score_query(
                version.model, features=FEATURES, keys=keys, where=where
            )
        session.execute(insert, [source, version.name, query])
    session.execute(
        "insert into return_scorers (source, order_line_id, margin)"
        " select source, order_line_id, margin from rival_margins"
    )
    return session.table("return_scorers")
