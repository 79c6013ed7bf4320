"""One row per source, day, cluster and feature: centroids of each month-end, and their scale."""

from ml import segment_tables


def model(dbt, session):
    customers = dbt.ref("int_segment_features").filter("is_sampled").fetchnumpy()
    archetypes = dbt.ref("policy_segment_archetypes").order("segment_name").fetchnumpy()
    policies = dict(dbt.ref("policy_parameters").project("policy_name, value").fetchall())
    chosen = dbt.ref("ml_segment_evidence").filter("is_chosen").project("source, cluster_count")
    fits = segment_tables.fits_table(customers, archetypes, policies, dict(chosen.fetchall()))
    # an empty array of text has no type of its own
    return session.sql(
        "select * replace (cast(source as varchar) as source, cast(feature as varchar) as feature,"
        " cast(as_of_date as date) as as_of_date) from fits"
    )
