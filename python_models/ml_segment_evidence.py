"""One row per source and number of clusters that was tried: what speaks for and against it."""

from ml import segment_tables


def model(dbt, session):
    customers = dbt.ref("int_segment_features").filter("is_sampled").fetchnumpy()
    archetypes = dbt.ref("policy_segment_archetypes").order("segment_name").fetchnumpy()
    policies = dict(dbt.ref("policy_parameters").project("policy_name, value").fetchall())
    sources = [source for (source,) in dbt.ref("int_sources").project("source").fetchall()]
    evidence = segment_tables.evidence_table(
        customers,
        archetypes,
        policies,
        sources=sources,
        random_seed=int(dbt.config.meta_get("random_seed")),
    )
    return session.sql("select * from evidence")
